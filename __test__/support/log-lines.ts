// Loggers of the tests that keep the fields of each line, and the libraries whose loggers people have.

import { createRequire } from 'node:module';
import { Writable } from 'node:stream';
import type { SessionStoreLogFields, SessionStoreLogger } from 'connect-dynamodb-kms';
import pino from 'pino';
import winston from 'winston';

const bunyan = createRequire(import.meta.url)('bunyan');

export interface Line {
  level: 'warn' | 'debug';
  message: string;
  fields: SessionStoreLogFields;
}

/** The options of a store that keep each line in `lines`. */
export function linesOfStore(): { lines: Line[]; options: { logger: SessionStoreLogger; logFields: 'last' } } {
  const lines: Line[] = [];
  const keep = (level: Line['level']) => (message: string, fields?: SessionStoreLogFields) =>
    void lines.push({ level, message, fields: fields! });
  return { lines, options: { logger: { warn: keep('warn'), debug: keep('debug') }, logFields: 'last' } };
}

/** What a library writes as lines of JSON. */
export interface Written {
  logger: any;
  lines(): any[];
}

function sink(): { stream: Writable; lines(): any[] } {
  let text = '';
  const stream = new Writable({
    write(chunk, _, done) {
      text += chunk;
      done();
    },
  });
  return {
    stream,
    lines: () =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
  };
}

/** Without what every line of the process has. */
const ownOf = ({ time, pid, hostname, v, name, ...own }: any) => own;

export function pinoLogger(options: object = {}): Written {
  const { stream, lines } = sink();
  return { logger: pino({ level: 'debug', ...options }, stream), lines: () => lines().map(ownOf) };
}

export function bunyanLogger(): Written {
  const { stream, lines } = sink();
  return { logger: bunyan.createLogger({ name: 'app', level: 'debug', stream }), lines: () => lines().map(ownOf) };
}

export function winstonLogger(): Written {
  const { stream, lines } = sink();
  const transports = [new winston.transports.Stream({ stream })];
  return { logger: winston.createLogger({ level: 'debug', format: winston.format.json(), transports }), lines };
}
