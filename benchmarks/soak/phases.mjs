// The phases of the run that the graphs show: time without a fault, then one fault after another. The page docs/graphs.md has `what` of each.

import { setTimeout as sleep } from 'node:timers/promises';

/** How often faults are posted that strike some of the requests, in milliseconds. Both servers together send about 260 requests a second. */
const OFTEN = 125;

/** Without a fault: what the others are compared with. */
export const HEALTHY = { label: 'healthy', what: 'Nothing.', seconds: 40, after: 0, begin: () => () => {} };

/** Each has its seconds and those without a fault after it. `begin` is given the scene, and gives what ends the fault. */
export const FAULTS = [
  {
    label: 'throttled',
    what: 'DynamoDB throttles about 2 of 5 requests.',
    seconds: 25,
    after: 15,
    begin: strike({ action: 'dynamodb:*', status: 400, code: 'ThrottlingException', times: 14 }),
  },
  {
    label: 'errors',
    what: 'DynamoDB answers 1 of 16 requests with status 500.',
    seconds: 25,
    after: 15,
    begin: strike({ action: 'dynamodb:*', status: 500, code: 'InternalServerError', times: 2 }),
  },
  {
    label: 'slow',
    what: 'Each answer of DynamoDB takes 0.7 seconds longer.',
    seconds: 25,
    after: 15,
    begin({ dynamodb }) {
      dynamodb.delay = 700;
      return () => {
        dynamodb.delay = 0;
      };
    },
  },
  {
    label: 'no answers',
    what: 'DynamoDB accepts connections and does not answer.',
    seconds: 15,
    after: 20,
    begin: ({ dynamodb }) => dynamodb.hold(),
  },
  {
    label: 'KMS silent',
    what: 'KMS accepts connections and does not answer.',
    seconds: 25,
    after: 15,
    begin: ({ kms }) => kms.hold(),
  },
  {
    label: 'key disabled',
    what: 'The KMS key is disabled.',
    seconds: 20,
    after: 20,
    async begin({ servers }) {
      await servers.fault({ action: 'kms:*', status: 400, code: 'DisabledException' });
      return () => servers.clearFaults();
    },
  },
  {
    label: 'conflicts',
    what: 'Requests on both servers change the same five sessions.',
    seconds: 25,
    after: 15,
    begin: change({ mix: { contest: 25 } }, { mix: { contest: 0 } }),
  },
  {
    label: 'server stopped',
    what: 'One of the servers stands still for six seconds, and goes on.',
    seconds: 14,
    after: 18,
    begin({ gateways }) {
      gateways[0].kill('SIGSTOP');
      const onward = sleep(6000).then(() => gateways[0].kill('SIGCONT'));
      return () => onward;
    },
  },
  {
    label: 'token provider',
    what: 'The provider of the OAuth tokens fails.',
    seconds: 20,
    after: 15,
    begin: change({ providerAnswers: false }, { providerAnswers: true }),
  },
  {
    label: 'wrong option',
    what: 'The servers read sessions with another `encryptionContext` than they were saved with.',
    seconds: 20,
    after: 15,
    begin: change({ optionsAreRight: false }, { optionsAreRight: true }),
  },
  {
    label: 'small cache',
    what: 'Three times as many sessions are in use as `keyCache.maxEntries` allows data keys.',
    seconds: 25,
    after: 15,
    begin: change({ used: 3000 }, { used: 200 }),
  },
];

/** Answers some requests with an error, again and again. */
function strike(fault) {
  return ({ servers }) => {
    let over = false;
    const posting = (async () => {
      for (; !over; await sleep(OFTEN)) await servers.fault(fault);
    })();
    return async () => {
      over = true;
      await posting;
      await servers.clearFaults();
    };
  };
}

/** Changes the load of all servers for a while. */
function change(begin, end) {
  return ({ gateways }) => {
    for (const gateway of gateways) gateway.send(begin);
    return () => {
      for (const gateway of gateways) gateway.send(end);
    };
  };
}
