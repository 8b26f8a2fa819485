// A Fastify gateway that works on the in-memory store answers the same on this one, whatever it does with its session.

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startAws, startLocal } from './support/backends.ts';
import { unexplained } from './support/parity/differences.ts';
import { scenarios } from './support/parity/fastify/scenarios.ts';
import { referenceOf, referenceSettings, settings, titleOf } from './support/parity/settings.ts';
import { differences, requests, type Transcript, transcripts } from './support/parity/transcripts.ts';

const tested = {
  'local mode': settings,
  // The clock is the same everywhere.
  'AWS servers': settings.filter(({ touch }) => touch !== 'touches are due by the clock'),
};

describe('a gateway that was written for the in-memory store', () => {
  let reference: Transcript[];
  const subjects: Record<string, Transcript[]> = {};
  before(async () => {
    const [local, aws] = [await startLocal(), await startAws()];
    try {
      [reference, subjects['local mode'], subjects['AWS servers']] = await Promise.all([
        transcripts('fastify-program', 'memory', {}, referenceSettings(settings)),
        transcripts('fastify-program', 'ours', local.config, tested['local mode']),
        transcripts('fastify-program', 'ours', aws.config, tested['AWS servers']),
      ]);
    } finally {
      await Promise.all([local.stop(), aws.stop()]);
    }
  });

  for (const [backend, ofBackend] of Object.entries(tested)) {
    for (const [index, setting] of ofBackend.entries()) {
      it(`answers the same on ${backend} with ${titleOf(setting)}`, () => {
        const [expected, actual] = [referenceOf(setting, settings, reference), subjects[backend][index]];
        assert.ok(requests(expected) > 600, `only ${requests(expected)} requests`);
        const found = scenarios.flatMap(({ name }) => differences(name, expected[name], actual[name]));
        assert.deepEqual(unexplained(setting, found), []);
      });
    }
  }
});
