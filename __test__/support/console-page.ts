// Pages with commands and what they print: ```console blocks of which the first line is the command, after `$ `.

import { readFile, writeFile } from 'node:fs/promises';

export interface ConsoleBlock {
  /** What a comment `<!-- console: NAME -->` above the block names. */
  setting: string | undefined;
  args: string[];
  /** What the page says is printed. The line `...` stands for all that follows. */
  output: string;
  /** The whole block in the page. */
  text: string;
}

const BLOCK = /(?:<!-- console: (\S+) -->\n)?```console\n\$ npx connect-dynamodb-kms ([^\n]*)\n(.*?)```/gs;

/** The blocks of a page, in their order. */
export async function consoleBlocks(path: string): Promise<ConsoleBlock[]> {
  const page = await readFile(path, 'utf8');
  return [...page.matchAll(BLOCK)].map(([text, setting, command, output]) => ({
    text,
    setting,
    args: command!.split(' ').filter(Boolean),
    output: output!,
  }));
}

/** What stands for the rest of an output. */
const REST = '...\n';
/** How many lines of an output are shown before that. */
const SHOWN = 12;

/** The output as the block shows it. */
export function shownOf(block: ConsoleBlock, printed: string): string {
  if (!block.output.endsWith(REST)) return printed;
  const lines = block.output === REST ? SHOWN : block.output.trimEnd().split('\n').length - 1;
  return `${printed.split('\n').slice(0, lines).join('\n')}\n${REST}`;
}

/** Writes what was printed into the page, in the place of what it says. */
export async function rewrite(path: string, block: ConsoleBlock, shown: string): Promise<void> {
  const page = await readFile(path, 'utf8');
  const head = block.text.slice(0, block.text.length - block.output.length - '```'.length);
  await writeFile(
    path,
    page.replace(block.text, () => `${head}${shown}\`\`\``),
  );
}
