/** From Rust's name of a target to that of @napi-rs/cli: `x86_64-unknown-linux-gnu` to `linux-x64-gnu`. */
export function platformOf(target: string): string {
  const [cpu, , system, abi] = target.split('-');
  const names: Record<string, string> = { x86_64: 'x64', aarch64: 'arm64', windows: 'win32' };
  return [names[system!] ?? system, names[cpu!], abi].filter(Boolean).join('-');
}
