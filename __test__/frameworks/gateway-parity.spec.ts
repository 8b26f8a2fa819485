// A Fastify gateway that works on the in-memory store answers the same on this one, whatever it does with its session.

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startAws, startLocal } from '../support/backends.ts';
import { unexplained } from '../support/parity/differences.ts';
import { scenarios } from '../support/parity/fastify/scenarios.ts';
import { referenceOf, referenceSettings, settings, titleOf } from '../support/parity/settings.ts';
import { differences, type GatewayRun, gatewayRuns, requests } from '../support/parity/transcripts.ts';

const tested = {
  'local mode': settings,
  // The clock is the same everywhere.
  'AWS servers': settings.filter(({ rolling, step }) => !rolling || step === 1),
};

describe('a gateway that was written for the in-memory store', () => {
  let reference: GatewayRun[];
  const subjects: Record<string, GatewayRun[]> = {};
  before(async () => {
    const [local, aws] = [await startLocal(), await startAws()];
    try {
      [reference, subjects['local mode'], subjects['AWS servers']] = await Promise.all([
        gatewayRuns('memory', {}, referenceSettings(settings)),
        gatewayRuns('ours', local.config, tested['local mode']),
        gatewayRuns('ours', aws.config, tested['AWS servers']),
      ]);
    } finally {
      await Promise.all([local.stop(), aws.stop()]);
    }
  });

  for (const [backend, ofBackend] of Object.entries(tested)) {
    for (const [index, setting] of ofBackend.entries()) {
      it(`answers the same on ${backend} with ${titleOf(setting)}`, () => {
        const { transcript: expected } = referenceOf(setting, settings, reference);
        const { transcript: actual, touches } = subjects[backend][index];
        assert.ok(requests(expected) > 500, `only ${requests(expected)} requests`);
        // Some scenarios let hours pass, whatever the setting.
        const due = setting.rolling && setting.touch !== 'no touch is due';
        assert.ok(due ? touches! > 100 : touches! < 20, `${touches} touches`);
        const found = scenarios.flatMap(({ name }) => differences(name, expected[name], actual[name]));
        assert.deepEqual(unexplained(setting, found), []);
      });
    }
  }
});
