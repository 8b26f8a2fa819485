// A server with a certificate that no system trusts, as behind the proxy of a company.

import { connect, type Socket } from 'node:net';
import { createServer } from 'node:tls';
import { type Listening, listen } from './http-server.ts';

/** Of the authority that signed the server's certificate; its key is gone. Valid until 2126. */
export const AUTHORITY = `-----BEGIN CERTIFICATE-----
MIIBqTCCAU+gAwIBAgIUOuZ56o5W1wiZtoMtRkPTMyuDJsYwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWQSBjb21wYW55IG9mIHRoZSB0ZXN0czAgFw0yNjExMjcxNDA2
MjVaGA8yMTI2MTEwMzE0MDYyNVowITEfMB0GA1UEAwwWQSBjb21wYW55IG9mIHRo
ZSB0ZXN0czBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABJjZsUEXdZP55liwyNtV
Ww4AAxzex72DOvAkTKncy09L2Wr4Qs6ErbFH8pJnLy6XUuInBthC4TWvi1DfIZN/
DdqjYzBhMB0GA1UdDgQWBBSMKWeJUsSmxgWFtQ58lHk61KZ8BTAfBgNVHSMEGDAW
gBSMKWeJUsSmxgWFtQ58lHk61KZ8BTAPBgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB
/wQEAwICBDAKBggqhkjOPQQDAgNIADBFAiEAk6MWULe1+jiAU0dHeQubswFFOmD2
IinIbf58+vje5N0CICQ/wp8s/8ttQN3Wz/vaASFDIrE7i61irgm545XrE6rv
-----END CERTIFICATE-----
`;

const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBtzCCAV2gAwIBAgIUOvRbGyuNh7pZ1LrULCiWoFIkgXQwCgYIKoZIzj0EAwIw
ITEfMB0GA1UEAwwWQSBjb21wYW55IG9mIHRoZSB0ZXN0czAgFw0yNjExMjcxNDA2
MjVaGA8yMTI2MTEwMzE0MDYyNVowFDESMBAGA1UEAwwJMTI3LjAuMC4xMFkwEwYH
KoZIzj0CAQYIKoZIzj0DAQcDQgAES+xmK3mfJX67vWZFGGjdi545sS4+Dzxd57ox
62DE/nxQNrkU00M6xk9yqeoSWjjFm3kwbqExiDMnvS6/Yz14gaN+MHwwGgYDVR0R
BBMwEYcEfwAAAYIJbG9jYWxob3N0MAkGA1UdEwQCMAAwEwYDVR0lBAwwCgYIKwYB
BQUHAwEwHQYDVR0OBBYEFEPRpHD4HTkWyxt4kI/3ZHiF/k9gMB8GA1UdIwQYMBaA
FIwpZ4lSxKbGBYW1DnyUeTrUpnwFMAoGCCqGSM49BAMCA0gAMEUCIQDxRJDMfF5p
NsKMS79IxPiaYka4X6YVfKpjk3Yib5DEQAIgGU36G9GDCjqa0UR+Rkwh6g7XYzMm
HV8sIK6oAYdw320=
-----END CERTIFICATE-----
`;

/** Of this certificate alone, for 127.0.0.1: it protects nothing. */
const KEY = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIDra/uPFSUmgu1gvlVpKoV/t/GjVs6Kxu3j/vCrBq12joAoGCCqGSM49
AwEHoUQDQgAES+xmK3mfJX67vWZFGGjdi545sS4+Dzxd57ox62DE/nxQNrkU00M6
xk9yqeoSWjjFm3kwbqExiDMnvS6/Yz14gQ==
-----END EC PRIVATE KEY-----
`;

/** Passes every connection through to `target`, an http:// URL. */
export async function startTls(target: string): Promise<Listening> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const server = createServer({ cert: CERTIFICATE, key: KEY }, (socket) => {
    const onward = connect(Number(port), hostname);
    sockets.add(onward);
    onward.on('error', () => socket.destroy()).on('close', () => sockets.delete(onward));
    socket.on('error', () => onward.destroy());
    socket.pipe(onward).pipe(socket);
  });
  server.on('tlsClientError', () => {});
  const listening = await listen(server, sockets);
  return { ...listening, url: listening.url.replace('http:', 'https:') };
}
