// What the binaries are made of, as a CycloneDX bill of materials. `node scripts/release/sbom.mjs` prints it; the same sources give the same text.

import { fileURLToPath } from 'node:url';
import { linkedCrates } from './linked-crates.mjs';

/** @returns {Promise<object>} CycloneDX 1.6, see https://cyclonedx.org/docs/1.6/json/ */
export async function billOfMaterials() {
  const { own, linked } = await linkedCrates();
  const reference = ({ name, version }) => `pkg:cargo/${name}@${version}`;
  const references = new Map([own, ...linked].map((crate) => [crate.id, reference(crate)]));
  references.set(own.id, `pkg:npm/${own.name}@${own.version}`);
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      component: {
        type: 'library',
        'bom-ref': references.get(own.id),
        name: own.name,
        version: own.version,
        licenses: [{ expression: own.license }],
        purl: references.get(own.id),
      },
    },
    components: linked.map((crate) => ({
      type: 'library',
      'bom-ref': reference(crate),
      name: crate.name,
      version: crate.version,
      hashes: [{ alg: 'SHA-256', content: crate.checksum }],
      licenses: [{ expression: crate.license.replace(/ ?\/ ?/g, ' OR ') }], // a slash is cargo's older way of writing OR
      purl: reference(crate),
    })),
    dependencies: [own, ...linked].map(({ id, dependencies }) => ({
      ref: references.get(id),
      dependsOn: [...dependencies].map((dependency) => references.get(dependency)).sort(),
    })),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(await billOfMaterials(), null, 2));
