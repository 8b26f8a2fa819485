// Commands that the documentation gives to readers: the `sh` blocks below a `<!-- recipe: NAME -->` comment.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';

const root = new URL('../../', import.meta.url);

/** The lines of a recipe, wherever in README.md or docs/ it stands. */
export async function recipe(name: string): Promise<string[]> {
  const pages = (await readdir(new URL('docs/', root))).filter((page) => page.endsWith('.md')).map((page) => `docs/${page}`);
  const found: string[] = [];
  for (const page of ['README.md', ...pages]) {
    const text = await readFile(new URL(page, root), 'utf8');
    for (const [, title, lines] of text.matchAll(/<!-- recipe: (.+?) -->\n```sh\n(.*?)```/gs))
      if (title === name) found.push(lines!);
  }
  assert.equal(found.length, 1, `there is one recipe ${name}`);
  return found[0]!.trim().replaceAll('\\\n', '').split('\n');
}
