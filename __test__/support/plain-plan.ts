// The plain plan as a session store: a Decrypt for each read, a new data key and a whole record for each write, and nothing remembered between two
// calls. A touch is a write, too: without comparing there is nothing else that it could be.

import { DeleteItemCommand } from '@aws-sdk/client-dynamodb';
import session, { type SessionData } from 'express-session';
import type { AwsLocal } from './aws-local.ts';
import { PlainStore } from './plain-store.ts';

const WEEK_SECONDS = 7 * 24 * 3600;

export class PlainPlan extends session.Store {
  readonly #plain: PlainStore;

  constructor(aws: AwsLocal) {
    super();
    this.#plain = new PlainStore(aws);
  }

  get(sid: string, callback: (error: any, session?: SessionData | null) => void): void {
    this.#plain.get(sid).then((session) => callback(null, session), callback);
  }

  set(sid: string, session: SessionData, callback: (error?: any) => void = () => {}): void {
    this.#plain.set(sid, session, WEEK_SECONDS).then(() => callback(), callback);
  }

  touch(sid: string, session: SessionData, callback: (error?: any) => void = () => {}): void {
    this.set(sid, session, callback);
  }

  destroy(sid: string, callback: (error?: any) => void = () => {}): void {
    const { dynamodb, tableName } = this.#plain;
    const gone = dynamodb.send(new DeleteItemCommand({ TableName: tableName, Key: { sessionId: { S: sid } } }));
    gone.then(() => callback(), callback);
  }

  close(): void {
    this.#plain.close();
  }
}
