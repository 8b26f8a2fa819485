// The tables of the documentation that tests check: each stands between <!-- name --> and <!-- /name -->.

import assert from 'node:assert/strict';

/** The cells of a table, its header first. */
export function tableCells(text: string, name: string): string[][] {
  const table = new RegExp(`<!-- ${name} -->\n+(.*?)\n+<!-- /${name} -->`, 's').exec(text)?.[1];
  assert.ok(table, `there is no table between <!-- ${name} --> and <!-- /${name} -->`);
  const rows = table.split('\n').map((line) => line.replace(/^\||\|$/g, '').split('|'));
  return rows.map((cells) => cells.map((cell) => cell.trim())).filter(([, cell]) => !/^-+:?$/.test(cell));
}
