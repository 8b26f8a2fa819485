// A registry on 127.0.0.1 that serves packed packages and nothing else: what `npm install connect-dynamodb-kms` will find.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { output } from './output.mjs';

/** @param {string} folder with tarballs, one version of each package. */
export async function startRegistry(folder) {
  const packages = new Map();
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.tgz'))) {
    // GNU tar takes the colon of a Windows path for that of a host.
    const manifest = JSON.parse(await output('tar', ['-xzOf', file, 'package/package.json'], { cwd: folder }));
    packages.set(manifest.name, { file, manifest, bytes: await readFile(join(folder, file)) });
  }
  const server = createServer(({ url }, response) => {
    const [name, , file] = decodeURIComponent(url.slice(1)).split('/');
    const found = packages.get(name);
    if (!found) return void response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"Not found"}');
    if (file) return void response.end(found.bytes);
    response.setHeader('content-type', 'application/json').end(JSON.stringify(described(found, address())));
  });
  const address = () => `http://127.0.0.1:${server.address().port}`;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: address(),
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function described({ file, manifest, bytes }, url) {
  const { name, version } = manifest;
  const dist = {
    tarball: `${url}/${name}/-/${basename(file)}`,
    shasum: createHash('sha1').update(bytes).digest('hex'),
    integrity: `sha512-${createHash('sha512').update(bytes).digest('base64')}`,
  };
  const published = '2020-01-01T00:00:00.000Z'; // long ago: package managers may refuse what is new
  return {
    name,
    'dist-tags': { latest: version },
    versions: { [version]: { ...manifest, dist } },
    time: { created: published, modified: published, [version]: published },
  };
}
