// The documents themselves: links that lead somewhere, and prose that is as wide as it should be.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const WIDTH = 100;
/** Folders that git, npm and cargo make. */
const MADE = ['.git', 'node_modules', 'npm', 'target'];
const pages = (await readdir(join(root, 'docs'))).filter((name) => name.endsWith('.md')).map((name) => join('docs', name));
const documents = ['README.md', 'CONTRIBUTING.md', 'RELEASING.md', 'SECURITY.md', 'CHANGELOG.md', ...pages];
/** Those that are wrapped. Tables, code and addresses of links may be as wide as they are. */
const wrapped = [...documents, 'benchmarks/README.md', 'examples/fastify-gateway/README.md'];

const withoutCode = (text: string) => text.replace(/^```.*?^```$/gms, '');

/** The fragments that GitHub makes of the headings. */
function fragments(text: string): string[] {
  const headings = [...withoutCode(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading!);
  return headings.map((heading) =>
    heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  );
}

describe('the documents', () => {
  it('name every folder of the repository', async () => {
    const entries = await readdir(root, { withFileTypes: true });
    const folders = entries.filter((entry) => entry.isDirectory() && !MADE.includes(entry.name)).map(({ name }) => `${name}/`);
    const contributing = await readFile(join(root, 'CONTRIBUTING.md'), 'utf8');
    const tree = contributing.split('## More commands')[0]!;
    assert.deepEqual(
      folders.filter((folder) => !tree.includes(`\`${folder}`)),
      [],
    );
  });

  for (const name of documents) {
    it(`${name} has links to files and headings that are there`, async () => {
      const text = withoutCode(await readFile(join(root, name), 'utf8'));
      const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g), ...text.matchAll(/^\[[^\]]+\]: (\S+)$/gm)].map(([, to]) => to!);
      for (const target of targets.filter((to) => !/^https?:/.test(to))) {
        const [file, fragment] = target.split('#');
        const path = file ? join(dirname(name), file) : name;
        if (fragment === undefined) await readFile(join(root, path)).catch((error) => assert.equal(error.code, 'EISDIR', target));
        else assert.ok(fragments(await readFile(join(root, path), 'utf8')).includes(fragment), target);
      }
    });
  }

  for (const name of wrapped) {
    it(`${name} is wrapped at ${WIDTH} columns`, async () => {
      const lines = withoutCode(await readFile(join(root, name), 'utf8')).split('\n');
      const wide = lines.filter((line) => line.length > WIDTH && !/^(\||\[[^\]]+\]: )/.test(line));
      assert.deepEqual(wide, []);
    });
  }
});
