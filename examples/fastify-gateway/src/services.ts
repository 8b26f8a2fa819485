// What one can pretend to connect, and what the gateway asks for.

export const services = {
  google: { name: 'Google', offers: 'Mail and calendar', account: 'ada@example.com' },
  hubspot: { name: 'HubSpot', offers: 'Contacts and deals', account: 'Example Ltd' },
  slack: { name: 'Slack', offers: 'Channels and messages', account: 'ada' },
} as const;

export type ServiceId = keyof typeof services;

/** Every scope that the gateway asks for, in the words of the consent page. */
export const scopes = {
  profile: 'See your name and e-mail address',
  tools: 'Use its tools in your name',
  offline_access: 'Keep access while you are away',
} as const;

export function isServiceId(name: string | undefined): name is ServiceId {
  return name !== undefined && Object.hasOwn(services, name);
}
