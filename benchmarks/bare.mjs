// The bare HTTP client: as a subject it makes the requests that this store makes for a workload, unsigned, from memory; as a source of load it
// makes those of the users of a gateway.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pinned } from './machine.mjs';
import { poolIds } from './sessions.mjs';

/** Of the form that servers look for; nobody checks the signature. */
const UNSIGNED = {
  authorization:
    'AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=0',
  'x-amz-date': '20260101T000000Z',
};

const bytes = (count) => ({ B: randomBytes(count).toString('base64') });

export class BareClient {
  constructor(program, where, cores) {
    this.program = program;
    this.where = where;
    this.cores = cores;
  }

  /** Writes the items of a pool and learns a wrapped key; gives the calls of each workload. */
  async prepare(size, slots) {
    const keyId = { KeyId: this.where.keyArn };
    const generate = this.#kms('GenerateDataKey', { ...keyId, KeySpec: 'AES_256' });
    const reply = await fetch(this.where.kms, { method: 'POST', headers: generate.headers, body: generate.body });
    const { CiphertextBlob: wrapped } = await reply.json();
    const decrypt = this.#kms('Decrypt', { ...keyId, CiphertextBlob: wrapped });
    const ids = poolIds('bare', size, slots);
    const gets = ids.map((id) => this.#dynamodb('GetItem', { Key: { sessionId: { S: id } }, ConsistentRead: true }, size));
    const puts = ids.map((id) => this.#dynamodb('PutItem', { Item: item(id, wrapped, size) }));
    const pairs = (first, second) => first.map((request, slot) => [request, second[slot] ?? second[0]]);
    const fill = puts.map((put) => [put]);
    await this.load(this.cores.client, fill, { 'in-flight': 1, calls: slots }); // one lane, so that none is left out
    return {
      'warm get': gets.map((get) => [get]),
      'cold get': pairs(gets, [decrypt]),
      set: puts.map((put) => [generate, put]),
      'get + set': pairs(gets, puts),
    };
  }

  /** @returns {Promise<object>} what a closed or an open loop (`rate`) over `calls` gave, on `cores`. */
  async load(cores, calls, options) {
    const folder = await mkdtemp(join(tmpdir(), 'bench-'));
    try {
      const plan = join(folder, 'plan.json');
      await writeFile(plan, JSON.stringify({ calls }));
      const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
      const [command, args] = pinned(cores, this.program, ['load', '--plan', plan, ...flags]);
      const { stdout } = await promisify(execFile)(command, args, { maxBuffer: 2 ** 30 });
      const { latenciesMicros, ...measured } = JSON.parse(stdout);
      if (measured.calls === 0) throw new Error('the bare client made no call');
      return { ...measured, mainMicros: measured.cpuMicros, latencies: latenciesMicros };
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  #dynamodb(operation, body, atLeast = 2) {
    const headers = {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `DynamoDB_20120810.${operation}`,
      ...UNSIGNED,
    };
    const json = JSON.stringify({ TableName: this.where.table, ...body });
    return { address: host(this.where.dynamodb), method: 'POST', path: '/', headers, body: json, at_least: atLeast };
  }

  #kms(operation, body) {
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': `TrentService.${operation}`, ...UNSIGNED };
    return { address: host(this.where.kms), method: 'POST', path: '/', headers, body: JSON.stringify(body), at_least: 50 };
  }
}

/** The requests of users to a gateway, by their cookies. */
export function userRequests({ address, cookies }, path) {
  return cookies.map((cookie) => [{ address, method: 'GET', path, headers: { cookie }, at_least: 10 }]);
}

function host(url) {
  return new URL(url).host;
}

/** An item of the shape and size of a record of version 2. */
function item(id, wrapped, size) {
  return {
    sessionId: { S: id },
    encryptedData: bytes(size),
    encryptedKey: { B: wrapped },
    iv: bytes(12),
    authTag: bytes(16),
    salt: bytes(16),
    commit: bytes(32),
    notAfter: { N: '4102444800' },
    ttl: { N: '4102444800' },
    version: { N: '2' },
  };
}
