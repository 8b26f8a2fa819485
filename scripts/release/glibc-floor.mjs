// The newest glibc that an ELF file asks for. `node scripts/release/glibc-floor.mjs 2.17 FILE…` fails if one asks for a newer one than that.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const VERSION_NEEDED = 0x6ffffffe; // SHT_GNU_verneed

/** @returns {Promise<string[]>} the versions of glibc that a little-endian 64-bit ELF file names, such as `2.17`, oldest first. */
export async function glibcVersions(file) {
  const elf = await readFile(file);
  if (elf.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') throw new Error(`${file} is no little-endian 64-bit ELF file`);
  const sections = readSections(elf);
  const needed = sections.find(({ type }) => type === VERSION_NEEDED);
  if (!needed) return [];
  const strings = sections[needed.link].offset;
  const name = (index) => elf.toString('latin1', strings + index, elf.indexOf(0, strings + index));
  const versions = new Set();
  for (let entry = needed.offset, next = 1; next !== 0; entry += next) {
    // Elf64_Verneed: version, count, file, aux, next; Elf64_Vernaux: hash, flags, other, name, next
    const [count, first] = [elf.readUInt16LE(entry + 2), elf.readUInt32LE(entry + 8)];
    for (let i = 0, aux = entry + first; i < count; i += 1, aux += elf.readUInt32LE(aux + 12)) {
      const [, version] = /^GLIBC_(.+)$/.exec(name(elf.readUInt32LE(aux + 8))) ?? [];
      if (version) versions.add(version);
    }
    next = elf.readUInt32LE(entry + 12);
  }
  return [...versions].sort(compare);
}

function readSections(elf) {
  const [table, size, count] = [Number(elf.readBigUInt64LE(0x28)), elf.readUInt16LE(0x3a), elf.readUInt16LE(0x3c)];
  return Array.from({ length: count }, (_, i) => {
    const header = table + i * size;
    return {
      type: elf.readUInt32LE(header + 4),
      offset: Number(elf.readBigUInt64LE(header + 0x18)),
      link: elf.readUInt32LE(header + 0x28),
    };
  });
}

/** Names that are no numbers, such as ABI_DT_RELR and PRIVATE, count as newer than any: older systems lack them. */
function compare(a, b) {
  const [x, y] = [a, b].map((version) => (/^\d/.test(version) ? version.split('.').map(Number) : [Infinity]));
  for (let i = 0; i < Math.max(x.length, y.length); i += 1) {
    const difference = (x[i] ?? 0) - (y[i] ?? 0);
    if (difference) return difference;
  }
  return 0;
}

/** @throws if the file asks for a newer glibc than `floor`, or names none at all. */
export async function checkGlibcFloor(file, floor) {
  const versions = await glibcVersions(file);
  const newer = versions.filter((version) => compare(version, floor) > 0);
  if (newer.length > 0) throw new Error(`${file} needs glibc ${newer.join(', ')}; the oldest that is supported is ${floor}`);
  if (versions.length === 0) throw new Error(`${file} names no version of glibc`);
  return versions.at(-1);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [floor, ...files] = process.argv.slice(2);
  for (const file of files) console.log(`${file}: glibc ${await checkGlibcFloor(file, floor)}`);
}
