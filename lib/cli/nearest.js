'use strict';

/**
 * How many letters must be changed, added, left out or swapped with their neighbour to make one
 * word of another.
 * @param {string} a
 * @param {string} b
 */
function distance(a, b) {
  const rows = Array.from({ length: a.length + 1 }, (_, i) =>
    Array.from({ length: b.length + 1 }, (_, j) => (i ? (j ? 0 : i) : j)),
  );
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const changed = rows[i - 1][j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      rows[i][j] = Math.min(changed, rows[i - 1][j] + 1, rows[i][j - 1] + 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.length][b.length];
}

/**
 * The known name that was probably meant.
 * @param {string} name
 * @param {string[]} known
 * @returns {string | undefined} undefined if none is similar.
 */
function nearest(name, known) {
  const similar = known
    .map((candidate) => ({ candidate, off: candidate.startsWith(name) ? 1 : distance(name, candidate) }))
    .filter(({ candidate, off }) => off <= Math.max(2, Math.floor(candidate.length / 3)))
    // Nothing in common.
    .filter(({ candidate, off }) => off < Math.max(name.length, candidate.length))
    .sort((a, b) => a.off - b.off);
  return similar[0]?.candidate;
}

/**
 * A sentence for the end of a message, or nothing.
 * @param {string} name
 * @param {string[]} known
 * @param {string} [before] what stands before each name, such as `--`.
 */
function didYouMean(name, known, before = '') {
  const meant = nearest(name, known);
  return meant === undefined ? '' : `; did you mean ${before}${meant}?`;
}

module.exports = { didYouMean, nearest };
