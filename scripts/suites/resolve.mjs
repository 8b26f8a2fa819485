// The half of preload.mjs that replaces what is imported.

let byUrl = new Map();
let ours;

export function initialize({ replacements, here }) {
  byUrl = new Map(replacements);
  ours = here;
}

export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  const url = context.parentURL?.startsWith(ours) ? undefined : byUrl.get(found.url.replace(/\?.*$/, ''));
  return url ? { url, format: 'commonjs', shortCircuit: true } : found;
}
