// Compares what visitors saw on two stores.

import { Program } from '../program.ts';
import type { Row } from './client.ts';
import type { StoreKind } from './stores.ts';

export type Transcript = Record<string, Row[]>;

/** Something that differs: `SCENARIO: N REQUEST: FIELD: what it was in memory -> what it is`. */
export type Difference = string;

/**
 * Runs a program of this folder in a process of its own, so that no store is influenced by what another one installs.
 * @returns a transcript for each of the settings.
 */
export async function transcripts(program: string, kind: StoreKind, config: object, settings: object[]): Promise<Transcript[]> {
  const { code, lines, stderr } = await new Program(`parity/${program}`, kind, config, settings).end();
  if (code !== 0) throw new Error(`the application on the store "${kind}" ended with ${code}: ${stderr}`);
  return lines.map((line) => JSON.parse(line));
}

const FIELDS = ['request', 'status', 'headers', 'cookies', 'body', 'runs', 'uncaught'] as const;

/** How the requests of one scenario differ. */
export function differences(scenario: string, reference: Row[], rows: Row[]): Difference[] {
  const found: Difference[] = [];
  for (let index = 0; index < Math.max(reference.length, rows.length); index++) {
    const [expected, actual] = [reference[index], rows[index]];
    for (const field of FIELDS) {
      const [before, after] = [JSON.stringify(expected?.[field]), JSON.stringify(actual?.[field])];
      if (before !== after) found.push(`${scenario}: ${index + 1} ${expected?.request}: ${field}: ${before} -> ${after}`);
    }
  }
  return found;
}

/** How many requests a transcript has. */
export function requests(transcript: Transcript): number {
  return Object.values(transcript).flat().length;
}
