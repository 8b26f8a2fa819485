// What the store alone gives to a gateway that answers without returning the reply: an unchanged session is answered at once. The reply
// guard is off here.

import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { startLocal } from '../support/backends.ts';
import { unexplained } from '../support/parity/differences.ts';
import { type Scenario, scenarios } from '../support/parity/fastify/scenarios.ts';
import { settings as all, referenceOf, referenceSettings, type Setting, titleOf } from '../support/parity/settings.ts';
import { differences, type GatewayRun, gatewayRuns } from '../support/parity/transcripts.ts';

const unguarded = (setting: Setting) => ({ ...setting, store: { ...setting.store, guardReplies: false } });
// Without `rolling` an unchanged session is not saved at all.
const settings = all.filter(({ rolling, step }) => rolling && step === 1).map(unguarded);
// New sessions are not saved here, but unchanged ones are.
const saved = settings.findIndex(({ saveUninitialized }) => !saveUninitialized);

/** Whether no answer in the scenario must wait for a write that a hook or handler does not wait for. */
function worksAlone({ unreturned }: Scenario, { saveUninitialized }: Setting): boolean {
  return unreturned === 'never' || (unreturned === 'with a new session' && !saveUninitialized);
}

describe('a gateway without the reply guard', () => {
  let reference: GatewayRun[];
  let subjects: GatewayRun[];
  let deferred: GatewayRun;
  before(async () => {
    const [local, other] = [await startLocal(), await startLocal()];
    try {
      [reference, subjects, [deferred]] = await Promise.all([
        gatewayRuns('memory', {}, referenceSettings(settings)),
        gatewayRuns('ours', local.config, settings),
        gatewayRuns('ours, deferred', other.config, [settings[saved]]),
      ]);
    } finally {
      await Promise.all([local.stop(), other.stop()]);
    }
  });

  for (const [index, setting] of settings.entries()) {
    it(`answers the same wherever unreturned replies leave the session as it is, with ${titleOf(setting)}`, () => {
      const compared = scenarios.filter((scenario) => worksAlone(scenario, setting));
      const { transcript: expected } = referenceOf(setting, settings, reference);
      const found = compared.flatMap(({ name }) => differences(name, expected[name], subjects[index].transcript[name]));
      assert.deepEqual(unexplained(setting, found, compared), []);
    });
  }

  // Without these the tests above, and those of the whole gateway, would show nothing.
  describe('if its store calls back later for unchanged sessions', () => {
    const found = (name: string) =>
      differences(name, referenceOf(settings[saved], settings, reference).transcript[name], deferred.transcript[name]);

    it('runs refused handlers', () => {
      for (const refusal of ['denies', 'redirects']) {
        const ran = found(`a guard that ${refusal}: a visitor whose session is stored`).filter((difference) =>
          /: runs: .* -> .*"guarded handler":1/.test(difference),
        );
        assert.equal(ran.length, 4 * 6, 'every position and place');
      }
      assert.ok(found('gives passport a wrong password with a stored session').some((d) => d.includes('"passport handler":1')));
    });

    it('gives out what was to be kept', () => {
      const given = found('a guard that denies: a visitor whose session is stored').filter((d) =>
        d.includes('status: 401 -> 200'),
      );
      assert.equal(given.length, 4, 'every position, in front of a handler that writes to reply.raw');
      assert.ok(found('is refused events, raw replies and streams').some((d) => d.includes('GET /events: status: 401 -> 200')));
    });

    it('throws where nobody catches', () => {
      const thrown = scenarios.filter(({ name }) =>
        found(name).some((d) => d.includes('uncaught: [] -> ["ERR_HTTP_HEADERS_SENT"')),
      );
      assert.ok(thrown.length > 10, `only in ${thrown.length} scenarios`);
    });

    it('differs in no scenario whose hooks and handlers return what they send', () => {
      for (const name of ['signs in and out, by handlers that return', 'changes its session']) assert.deepEqual(found(name), []);
    });
  });
});
