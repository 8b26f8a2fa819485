// The table as another program sees it: items read, written and changed behind the store's back, with AWS's own client.

import {
  type AttributeValue,
  CreateTableCommand,
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import type { AwsLocal } from './aws-local.ts';

export type TableItem = Record<string, AttributeValue>;

export class TableItems {
  readonly #client: DynamoDBClient;
  readonly #table: string;

  constructor(aws: AwsLocal, table = 'sessions') {
    this.#client = new DynamoDBClient({
      endpoint: aws.dynamodb,
      region: 'us-east-1',
      credentials: { accessKeyId: 'another-program', secretAccessKey: 'local' },
    });
    this.#table = table;
  }

  async put(item: TableItem): Promise<void> {
    await this.#client.send(new PutItemCommand({ TableName: this.#table, Item: item }));
  }

  async get(sessionId: string): Promise<TableItem | undefined> {
    const key = { sessionId: { S: sessionId } };
    const { Item } = await this.#client.send(new GetItemCommand({ TableName: this.#table, Key: key, ConsistentRead: true }));
    return Item;
  }

  /** Writes an item again with some attributes changed; `undefined` removes one. */
  async change(sessionId: string, changes: Record<string, AttributeValue | undefined>): Promise<void> {
    const item = { ...(await this.get(sessionId)), ...changes };
    await this.put(Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined)) as TableItem);
  }

  async remove(sessionId: string): Promise<void> {
    await this.#client.send(new DeleteItemCommand({ TableName: this.#table, Key: { sessionId: { S: sessionId } } }));
  }

  /** Every item, by its key. For tables of less than 1 MB. */
  async all(): Promise<Record<string, TableItem>> {
    const { Items = [], LastEvaluatedKey } = await this.#client.send(
      new ScanCommand({ TableName: this.#table, ConsistentRead: true }),
    );
    if (LastEvaluatedKey) throw new Error('the table has more than one page');
    return Object.fromEntries(Items.map((item) => [item.sessionId.S, item]));
  }

  /** Makes a table with this partition key. */
  async createTable(name: string, key: string): Promise<void> {
    await this.#client.send(
      new CreateTableCommand({
        TableName: name,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: key, AttributeType: 'S' }],
        KeySchema: [{ AttributeName: key, KeyType: 'HASH' }],
      }),
    );
  }

  close(): void {
    this.#client.destroy();
  }
}
