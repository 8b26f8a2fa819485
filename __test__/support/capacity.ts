// What recorded requests consume of a table's capacity, by the rules of the Amazon DynamoDB Developer Guide: "DynamoDB item sizes and formats"
// (CapacityUnitCalculations) and "DynamoDB read and write operations" (read-write-operations).

import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { AwsLocal, Recorded } from './aws-local.ts';

/** A value as DynamoDB's JSON has it, bytes in base64, or as AWS's client gives it. */
interface Value {
  S?: string;
  N?: string;
  B?: string | Uint8Array;
}

export type Item = Record<string, Value>;

/** A data key of 32 bytes as AWS wraps it, in bytes; tools/aws-local wraps it into 96 (its README). */
const WRAPPED_KEY_IN_AWS = 184;

/** The size of a number without its attribute's name: a byte for two significant digits, and one, and one for the sign. At most 21. */
function numberSize(text: string): number {
  const [, sign, digits] = /^(-?)([\d.]+)/.exec(text)!;
  const significant = digits.replace('.', '').replace(/^0+|0+$/g, '').length;
  return Math.ceil(significant / 2) + 1 + (sign ? 1 : 0);
}

function valueSize(value: Value): number {
  if (value.S !== undefined) return Buffer.byteLength(value.S);
  if (value.N !== undefined) return numberSize(value.N);
  if (value.B !== undefined) return typeof value.B === 'string' ? Buffer.from(value.B, 'base64').length : value.B.length;
  throw new Error(`no session store writes ${Object.keys(value)}`);
}

/** Bytes, names of attributes included. */
export function itemSize(item: Item): number {
  return Object.entries(item).reduce((size, [name, value]) => size + Buffer.byteLength(name) + valueSize(value), 0);
}

/** As {@link itemSize}, with the data key as long as it is in AWS: bytes in version 2 of the record, base64 in version 1. */
export function sizeInAws(item: Item): number {
  if (!item.encryptedKey) return itemSize(item);
  const wrapped = Buffer.alloc(WRAPPED_KEY_IN_AWS);
  return itemSize({ ...item, encryptedKey: item.encryptedKey.B ? { B: wrapped } : { S: wrapped.toString('base64') } });
}

/** For a read of an item of this many bytes, 0 if there is none. */
export function readUnits(size: number, consistent: boolean): number {
  return Math.max(1, Math.ceil(size / 4096)) * (consistent ? 1 : 0.5);
}

/** For a write of an item of these many bytes before and after it, 0 if there is none; a refused condition costs the same. */
export function writeUnits(before: number, after: number): number {
  return Math.max(1, Math.ceil(Math.max(before, after) / 1024));
}

/** How often each operation was called, and what all of it consumed. A BatchGetItem counts as a GetItem for each of its items. */
export interface Consumed {
  GetItem: number;
  PutItem: number;
  UpdateItem: number;
  DeleteItem: number;
  TransactWriteItems: number;
  readUnits: number;
  writeUnits: number;
  kms: number;
}

const SET_ONE = /^set (\S+) = (\S+)$/i;

/**
 * Does again what was recorded, from an empty table, so that each request meets the item that it met then. `items` is what is in the table at the end,
 * by its key, if no condition was refused.
 * @param hashKey the name of the table's key.
 * @throws on a request that it has no rule for.
 */
export function replay(requests: Recorded[], hashKey: string): { consumed: Consumed; items: Map<string, Item> } {
  const items = new Map<string, Item>();
  const counts = { GetItem: 0, PutItem: 0, UpdateItem: 0, DeleteItem: 0, TransactWriteItems: 0 };
  const consumed = { ...counts, readUnits: 0, writeUnits: 0, kms: 0 };
  /** One request for one item, which is charged so many times. */
  const apply = (operation: string, body: any, times = 1) => {
    const key: string = (body.Item ?? body.Key)[hashKey].S;
    const before = items.get(key);
    const after = applied(operation, body, before);
    const [sizeBefore, sizeAfter] = [before, after].map((item) => (item ? sizeInAws(item) : 0));
    if (operation === 'GetItem') consumed.readUnits += readUnits(sizeBefore, body.ConsistentRead === true);
    else consumed.writeUnits += times * writeUnits(sizeBefore, sizeAfter);
    if (after) items.set(key, after);
    else items.delete(key);
  };
  for (const { action, body } of requests) {
    const [service, operation] = action.split(':');
    if (service === 'kms') {
      consumed.kms++;
      continue;
    }
    if (operation === 'BatchGetItem') {
      // The size of each item is rounded up on its own (Amazon DynamoDB API Reference, BatchGetItem).
      for (const { Keys, ...more } of Object.values<any>(body.RequestItems)) {
        for (const Key of Keys) apply('GetItem', { ...more, Key });
        consumed.GetItem += Keys.length;
      }
      continue;
    }
    consumed[operation as 'GetItem']++;
    if (operation !== 'TransactWriteItems') apply(operation, body);
    // "Two underlying writes for every item: one to prepare the transaction and one to commit it" (Amazon DynamoDB Developer Guide, "Amazon
    // DynamoDB Transactions: How it works").
    else for (const { Put, Delete } of body.TransactItems) apply(Put ? 'PutItem' : 'DeleteItem', Put ?? Delete ?? {}, 2);
  }
  return { consumed, items };
}

function applied(operation: string, body: any, before: Item | undefined): Item | undefined {
  if (operation === 'GetItem') return before;
  if (operation === 'PutItem') return body.Item;
  if (operation === 'DeleteItem') return undefined;
  const [, name, value] = (operation === 'UpdateItem' && SET_ONE.exec(body.UpdateExpression)) || [];
  if (name === undefined) throw new Error(`no rule for ${operation} with ${JSON.stringify(body)}`);
  const attribute = body.ExpressionAttributeNames?.[name] ?? name;
  return { ...(before ?? body.Key), [attribute]: body.ExpressionAttributeValues[value] };
}

/** A client of AWS's SDK for the wire servers. */
export function clientOf(aws: AwsLocal): DynamoDBClient {
  const credentials = { accessKeyId: 'local', secretAccessKey: 'local' };
  return new DynamoDBClient({ endpoint: aws.dynamodb, region: 'us-east-1', credentials });
}
