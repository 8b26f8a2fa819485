// A Fastify gateway that works on the in-memory store answers the same on this one, whatever it does with its session.

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startAws, startLocal } from './support/backends.ts';
import { unexplained } from './support/parity/differences.ts';
import { scenarios } from './support/parity/fastify/scenarios.ts';
import { settings, titleOf } from './support/parity/settings.ts';
import { differences, requests, type Transcript, transcripts } from './support/parity/transcripts.ts';

describe('a gateway that was written for the in-memory store', () => {
  let reference: Transcript[];
  const subjects: Record<string, Transcript[]> = {};
  before(async () => {
    const [local, aws] = [await startLocal(), await startAws()];
    try {
      [reference, subjects['local mode'], subjects['AWS servers']] = await Promise.all([
        transcripts('fastify-program', 'memory', {}, settings),
        transcripts('fastify-program', 'ours', local.config, settings),
        transcripts('fastify-program', 'ours', aws.config, settings),
      ]);
    } finally {
      await Promise.all([local.stop(), aws.stop()]);
    }
  });

  for (const backend of ['local mode', 'AWS servers']) {
    for (const [index, setting] of settings.entries()) {
      it(`answers the same on ${backend} with ${titleOf(setting)}`, () => {
        const [expected, actual] = [reference[index], subjects[backend][index]];
        assert.ok(requests(expected) > 600, `only ${requests(expected)} requests`);
        const found = scenarios.flatMap(({ name }) => differences(name, expected[name], actual[name]));
        assert.deepEqual(unexplained(setting, found), []);
      });
    }
  }
});
