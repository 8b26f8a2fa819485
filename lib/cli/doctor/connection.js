'use strict';

// Credentials, region, endpoint and clock: whether AWS answers at all.

const { answerTo, fail, note, ok, said, warn } = require('./finding.js');

/** @typedef {import('./finding.js').Finding} Finding */

/** Sessions end by the clocks of the machines that save and read them; a difference that a user would see. */
const NOTICED_SECONDS = 30;
/** Sessions of some minutes do not survive this. */
const FATAL_SECONDS = 300;

/** @param {number} seconds */
function span(seconds) {
  const size = Math.abs(seconds);
  if (size < 120) return `${size} s`;
  return size < 7200 ? `${Math.round(size / 60)} minutes` : `${Math.round(size / 3600)} hours`;
}

/**
 * @param {number | null} ahead how far AWS's clock is ahead, in seconds.
 * @returns {Finding[]}
 */
function ofClock(ahead) {
  if (ahead === null) return [];
  const size = Math.abs(ahead);
  if (size < NOTICED_SECONDS) return [ok('clock', `at most ${size + 1} s off AWS's`)];
  const [off, effect] =
    ahead > 0
      ? ['behind', 'the sessions that it saves end too early elsewhere, and ended ones still work here']
      : ['ahead of', 'the sessions that it saves live too long, and it takes live ones of others for ended'];
  const found = size < FATAL_SECONDS ? warn : fail;
  return [
    found(
      'clock',
      `this machine's clock is ${span(ahead)} ${off} AWS's: ${effect}`,
      'sudo timedatectl set-ntp true (or start chronyd), then run doctor again',
    ),
  ];
}

/**
 * @param {any} error of the code ERR_CREDENTIALS.
 * @returns {Finding}
 */
function ofCredentials(error) {
  const { cause } = error;
  const name = cause?.name ?? '';
  if (name === 'InvalidCredentials') {
    return fail('credentials', `none can be used: ${cause.message}`, 'correct that, then run doctor again');
  }
  if (/Expired/.test(name)) {
    return fail(
      'credentials',
      `they have expired (${said(error)})`,
      'aws sso login, or get new keys; on ECS and EC2, restart what refreshes the role',
    );
  }
  if (/Unrecognized|InvalidClientTokenId|InvalidAccessKeyId/.test(name)) {
    return fail(
      'credentials',
      `AWS does not know them (${said(error)})`,
      'aws sts get-caller-identity; check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN',
    );
  }
  if (/Signature/.test(name)) {
    return fail(
      'credentials',
      `AWS refuses their signature (${said(error)})`,
      'check AWS_SECRET_ACCESS_KEY, and that no proxy changes requests',
    );
  }
  if (error.retryable) {
    return fail(
      'credentials',
      `the service that issues them did not answer (${said(error)})`,
      'run doctor again; check the path to the metadata or SSO service',
    );
  }
  return fail(
    'credentials',
    `none were found in the environment, the profile, or a role of this machine (${said(error)})`,
    'aws configure sso, or set AWS_PROFILE, or --profile NAME; on AWS, give the task or instance a role',
  );
}

/**
 * A failure of a service as a whole, or nothing.
 * @param {any} error
 * @param {string} service
 * @param {string} where
 * @returns {Finding | undefined}
 */
function ofService(error, service, where) {
  if (error.code === 'ERR_CREDENTIALS') return ofCredentials(error);
  // With an id of the request, it was the service that answered, and nothing on the way to it.
  if (error.code.endsWith('_UNAVAILABLE') && error.cause?.requestId) {
    return fail(
      'connection',
      `${service} answers with an error of its own (${said(error)})`,
      'run doctor again in a minute; if it stays, see https://health.aws.amazon.com',
    );
  }
  if (error.code.endsWith('_UNAVAILABLE')) {
    return fail(
      'connection',
      `${service} does not answer at ${where} (${said(error)})`,
      `check the endpoint, the network path and HTTPS_PROXY: curl -sv ${where}`,
    );
  }
  if (error.code.endsWith('_THROTTLED'))
    return warn('connection', `${service} throttles (${said(error)})`, 'run doctor again in a minute');
  return undefined;
}

/**
 * The SDK signs for any region, and AWS refuses the signature.
 * @param {any} place
 * @returns {Finding[]}
 */
function ofRegion({ region }) {
  const lower = region.toLowerCase();
  if (region === lower) return [];
  return [warn('settings', `the region is ${region}, but the names of AWS's regions are in lower case`, `AWS_REGION=${lower}`)];
}

/** @param {string} arn of a key. */
const regionOf = (arn) => arn.split(':')[3];

/**
 * Where requests to a service go, as far as options and environment tell.
 * @param {'dynamodb' | 'kms'} service
 * @param {Record<string, any>} config
 * @param {string} region
 */
function endpointOf(service, config, region) {
  const own = config[`${service}Endpoint`] ?? config.endpoint;
  const variable = process.env[`AWS_ENDPOINT_URL_${service.toUpperCase()}`] || process.env.AWS_ENDPOINT_URL;
  return own ?? variable ?? `https://${service}.${region}.amazonaws.com`;
}

/**
 * Whether DynamoDB answers, and takes these credentials.
 * @param {import('../../native-operator.js').NativeOperator} operator
 * @param {any} place
 * @param {Record<string, any>} config
 * @returns {Promise<{ findings: Finding[], table?: any }>} the table, or null, if it does.
 */
async function connection(operator, place, config) {
  const where = endpointOf('dynamodb', config, place.region);
  const reached = await answerTo(operator.ask('reach'));
  if (reached.error) {
    const finding = ofService(reached.error, 'DynamoDB', where);
    return { findings: [finding ?? fail('settings', reached.error.detail), ...ofRegion(place)] };
  }
  const { roundTripMillis, clockAheadSeconds } = reached.value;
  const clock = [...ofRegion(place), ...ofClock(clockAheadSeconds)];
  const described = await answerTo(operator.ask('table'));
  if (described.error) {
    const finding = ofService(described.error, 'DynamoDB', where);
    if (finding) return { findings: [finding, ...clock] };
  }
  const answers = ok('connection', `DynamoDB in ${place.region} answers in ${roundTripMillis} ms`);
  return { findings: [answers, ...clock, ...(await ofCaller(operator, place, config))], table: described };
}

/**
 * @param {import('../../native-operator.js').NativeOperator} operator
 * @param {any} place
 * @param {Record<string, any>} config
 * @returns {Promise<Finding[]>}
 */
async function ofCaller(operator, place, config) {
  const { AWS_ENDPOINT_URL: all, AWS_ENDPOINT_URL_STS: sts, AWS_ENDPOINT_URL_DYNAMODB: dynamodb } = process.env;
  // Credentials of a local server mean nothing to AWS.
  const isLocal = place.ownEndpoint || Boolean(dynamodb);
  if (isLocal && !(sts || all || config.endpoint)) return [];
  const caller = await answerTo(operator.ask('caller'));
  if (caller.error) return [note('credentials', `whose they are could not be asked (${said(caller.error)})`)];
  return [ok('credentials', caller.value.arn)];
}

module.exports = { connection, endpointOf, ofService, regionOf };
