// npm run demo            the example gateway in local mode: no AWS account, no network
// npm run demo -- --aws   the same on DynamoDB and KMS: your own AWS account if the environment has one, else stand-ins on this machine
//
// Builds what is missing, starts the gateway, and starts it again whenever it is killed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildAwsLocal, installIfStale, requireTools, root, run, step } from './steps.mjs';

const EXAMPLE = 'examples/fastify-gateway';
const LOCAL_TABLE = 'mcp-gateway-sessions';
const LOCAL_KEY = 'arn:aws:kms:us-east-1:000000000000:key/00000000-0000-4000-8000-000000000001';
// Any of these in the environment means that the AWS SDK has an account to work with.
const CREDENTIALS = [
  'AWS_ACCESS_KEY_ID',
  'AWS_PROFILE',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
];

async function main() {
  const args = process.argv.slice(2);
  const unknown = args.find((arg) => arg !== '--aws');
  if (unknown) throw new Error(`"${unknown}" is not an option. Run \`npm run demo\` or \`npm run demo -- --aws\`.`);
  const onAws = args.includes('--aws');
  const credentials = onAws ? ownCredentials() : undefined;

  step('Checking the tools');
  requireTools();
  console.log(`Node.js ${process.versions.node}, cargo and npm are here.`);

  step('Installing the development dependencies');
  if (!(await installIfStale('.'))) console.log('Up to date.');

  step('Building the addon (minutes the first time, seconds afterwards)');
  await run('npm', ['run', 'build']);

  step("Installing the example's dependencies");
  if (!(await installIfStale(EXAMPLE))) console.log('Up to date.');

  if (!onAws) return keepRunning([], process.env);
  if (credentials) {
    step('Using your AWS account');
    console.log(`Credentials: ${credentials}. Table: ${process.env.SESSIONS_TABLE}. Key: ${process.env.KMS_KEY_ARN}.`);
    return keepRunning(['--aws'], process.env);
  }
  step('Building stand-ins for DynamoDB and KMS, as the environment has no AWS credentials (minutes the first time)');
  const program = await buildAwsLocal();
  step('Starting them');
  const { environment, stop } = await startAwsLocal(program);
  try {
    await keepRunning(['--aws'], environment);
  } finally {
    await stop();
  }
}

/** Which credentials the environment names, if any. Then the table and the key must stand there too. */
function ownCredentials() {
  const found = CREDENTIALS.find((name) => process.env[name]);
  if (!found) return undefined;
  const missing = ['SESSIONS_TABLE', 'KMS_KEY_ARN'].filter((name) => !process.env[name]);
  if (missing.length > 0) {
    const hint = `unset ${found} to run on stand-ins on this machine`;
    throw new Error(
      `${found} is set, so this demo uses your AWS account and needs ${missing.join(' and ')} as well; or ${hint}.`,
    );
  }
  return found;
}

/** Starts DynamoDB and KMS on free ports of 127.0.0.1; gives the environment in which the gateway finds them. */
async function startAwsLocal(program) {
  const data = join(root, EXAMPLE, '.sessions', 'aws-local');
  const child = spawn(program, ['--table', LOCAL_TABLE, '--key-arn', LOCAL_KEY, '--data', data], {
    stdio: ['pipe', 'pipe', 'inherit'], // it ends when its input does, so it never outlives this script
    detached: true, // Ctrl-C is for the gateway, which still needs it to finish
  });
  const ended = once(child, 'close').catch(() => {});
  const line = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line').then(([text]) => text),
    once(child, 'close').then(([code]) =>
      Promise.reject(new Error(`The stand-ins for DynamoDB and KMS ended with code ${code} before they were ready.`)),
    ),
  ]);
  const { dynamodb, kms } = JSON.parse(line);
  console.log(`DynamoDB: ${dynamodb}  KMS: ${kms}  (data in ${EXAMPLE}/.sessions/aws-local)`);
  const environment = {
    ...process.env,
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb,
    AWS_ENDPOINT_URL_KMS: kms,
    AWS_REGION: LOCAL_KEY.split(':')[3],
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    SESSIONS_TABLE: LOCAL_TABLE,
    KMS_KEY_ARN: LOCAL_KEY,
  };
  const stop = () => {
    child.stdin.end();
    return ended;
  };
  return { environment, stop };
}

/** Runs the gateway until it ends by itself or by a signal to this script; after a kill -9 it is started again. */
async function keepRunning(args, env) {
  step('Starting the gateway');
  const address = `http://127.0.0.1:${env.PORT ?? 3000}`;
  let gateway;
  let stopping = false;
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, () => {
      stopping = true;
      gateway?.kill(signal);
    });
  }
  console.log(`
    Open ${address}

    Sign in with the simulated provider and look at the same session in the browser, in the gateway and in the table.
    Then kill the gateway, with the button on the page or with \`kill -9\` and the pid it shows: this script starts it
    again, and after a reload you are still signed in. Ctrl-C ends everything.

    Open ${address}/calls in a second window: it shows what every click does, call by call.
`);
  for (;;) {
    // Started without npm or the tsx command in between, so that the pid on the page is the process to kill.
    gateway = spawn(process.execPath, ['--import', 'tsx', 'src/server.ts', ...args], {
      cwd: join(root, EXAMPLE),
      env,
      stdio: 'inherit',
    });
    const [code, signal] = await once(gateway, 'exit'); // fails if it could not be started at all
    if (stopping || signal !== 'SIGKILL') {
      process.exitCode = code ?? 128 + constants.signals[signal];
      return;
    }
    console.log('\nThe gateway was killed; starting it again.');
  }
}

main().catch((error) => {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
});
