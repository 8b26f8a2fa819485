// Loggers of other shapes and settings than most: what an application has made of its log must not cost it the store's lines.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { DynamoDBSessionStore, type SessionStoreConfig } from 'connect-dynamodb-kms';
import winston from 'winston';
import { failing } from '../support/failures.ts';
import { pinoLogger } from '../support/log-lines.ts';

const SID = 'the-session-of-the-log';

/** Has a call fail whose line names a session. */
async function failedCall(options: SessionStoreConfig): Promise<void> {
  const store = new DynamoDBSessionStore({ recordVersion: 2, local: { path: './never-made' }, ...options });
  await store.close();
  await failing(store.get(SID), 'ERR_CLOSED');
}

const TEXT = /^connect-dynamodb-kms: get of session [0-9a-f]{8} failed: ERR_CLOSED: /;

describe('a logger', () => {
  for (const [what, make] of Object.entries({
    'is a function, as those of Roarr and bole are': () => Object.assign(() => {}, { warn() {}, debug() {} }),
    'is a class with static methods, as that of NestJS is': () =>
      // biome-ignore lint/complexity/noStaticOnlyClass: that of NestJS is used without an instance
      class Logger {
        static warn(_text: string) {}
        static debug(_text: string) {}
      },
  }))
    it(`that ${what}, gets the lines`, async (t) => {
      const logger = make();
      const { mock } = t.mock.method(logger as any, 'warn') as any;
      await failedCall({ logger });
      assert.deepEqual(
        mock.calls.map((call: any) => [call.this === logger, TEXT.test(call.arguments[0])]),
        [[true, true]],
      );
    });

  it('that is a function without the methods is refused', () => {
    for (const logger of [() => {}, class {}] as any[])
      assert.throws(() => new DynamoDBSessionStore({ logger }), { code: 'ERR_CONFIG' });
  });

  describe('that fails with the fields gets the line without them', () => {
    it('if it is of pino, with a serializer for sessions that are objects', async () => {
      const { logger, lines } = pinoLogger({ serializers: { session: ({ user: { id } }: any) => id } });
      await failedCall({ logger });
      assert.equal(lines().length, 1);
      assert.match(lines()[0].msg, TEXT);
      assert.equal(lines()[0].session, undefined);
    });

    it('if it is of winston, with a format for sessions that are objects', async (t: TestContext) => {
      const written: any[] = [];
      const format = winston.format((info: any) => {
        if (info.session) info.user = info.session.user.id;
        return info;
      });
      const transport = new winston.transports.Console();
      t.mock.method(transport as any, 'log', (info: any, next: () => void) => {
        written.push(info);
        next();
      });
      const logger = winston.createLogger({ level: 'debug', format: format(), transports: [transport] });
      await failedCall({ logger, logFields: 'last' });
      assert.deepEqual(
        written.map(({ level, message }) => [level, TEXT.test(message)]),
        [['warn', true]],
      );
    });
  });

  it('of pino that redacts what is in sessions, renames and nests fields, or mixes others in, gets them all', async () => {
    for (const options of [
      { redact: ['session.token', 'session.*', '*.password'] },
      { nestedKey: 'data' },
      { mixin: () => ({ tenant: 'a' }), errorKey: 'code', messageKey: 'message' },
      { formatters: { log: ({ session, ...rest }: any) => ({ ...rest, labels: { session } }) } },
    ] as object[]) {
      const { logger, lines } = pinoLogger(options);
      await failedCall({ logger });
      const [line] = lines();
      assert.match(line.msg ?? line.message, TEXT, JSON.stringify(options));
      assert.match(JSON.stringify(line), /"session":"[0-9a-f]{8}"/);
    }
  });
});
