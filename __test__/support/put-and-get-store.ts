// A session store as they mostly are: it puts what it is given, gets what is there, and knows nothing of what was read before. The races are run on it
// as well, to show that they do go wrong.

import { DeleteItemCommand, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import expressSession from 'express-session';
import type { AwsLocal } from './aws-local.ts';
import { PlainStore } from './plain-store.ts';

type Callback = (error: any, value?: any) => void;

/** Answers with a callback or a promise, as our store does. */
function answer<T>(result: Promise<T>, callback: Callback | undefined): Promise<T> | undefined {
  if (!callback) return result;
  result.then(
    (value) => process.nextTick(callback, null, value),
    (error) => process.nextTick(callback, error),
  );
  return undefined;
}

export class PutAndGetStore extends expressSession.Store {
  readonly #plain: PlainStore;

  constructor(aws: AwsLocal) {
    super();
    this.#plain = new PlainStore(aws);
  }

  get(sid: string, callback?: Callback): any {
    // A record that is nothing but an end is what its touch makes of a session that is gone; connect-dynamodb fails on it as well.
    return answer(this.#plain.get(sid), callback);
  }

  set(sid: string, session: object, callback?: Callback): any {
    return answer(this.#plain.set(sid, session), callback);
  }

  /** As connect-dynamodb does it: without a condition, UpdateItem makes the item that it does not find. */
  touch(sid: string, _session: object, callback?: Callback): any {
    const update = new UpdateItemCommand({
      TableName: this.#plain.tableName,
      Key: { sessionId: { S: sid } },
      UpdateExpression: 'SET #ttl = :ttl',
      ExpressionAttributeNames: { '#ttl': 'ttl' },
      ExpressionAttributeValues: { ':ttl': { N: String(Math.floor(Date.now() / 1000) + 3600) } },
    });
    return answer(this.#plain.dynamodb.send(update), callback);
  }

  destroy(sid: string, callback?: Callback): any {
    const remove = new DeleteItemCommand({ TableName: this.#plain.tableName, Key: { sessionId: { S: sid } } });
    return answer(this.#plain.dynamodb.send(remove), callback);
  }

  /** What lies in the table under the id. */
  record(sid: string): Promise<object | null> {
    return this.#plain.item(sid).then((item) => item ?? null);
  }

  close(): void {
    this.#plain.close();
  }
}
