// The table, the KMS key and the IAM policy for connect-dynamodb-kms, as a construct of AWS CDK. Copy this file into your
// project; it needs aws-cdk-lib and constructs.
//
//   const sessions = new Sessions(this, 'Sessions', { tableName: 'sessions' });
//   sessions.allow(service.taskDefinition.taskRole);

import { CfnOutput, RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb';
import { type IGrantable, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms';
import { Construct } from 'constructs';

export interface SessionsProps {
  /** The table's name. Use it as the store's option tableName, or as SESSIONS_TABLE. */
  readonly tableName?: string;
}

export class Sessions extends Construct {
  readonly table: Table;
  readonly key: Key;

  constructor(scope: Construct, id: string, { tableName = 'mcp-gateway-sessions' }: SessionsProps = {}) {
    super(scope, id);
    this.key = new Key(this, 'Key', {
      description: 'Wraps the data keys of the sessions. Disabling it locks every session.',
      enableKeyRotation: true,
      keySpec: KeySpec.SYMMETRIC_DEFAULT,
      keyUsage: KeyUsage.ENCRYPT_DECRYPT,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.table = new Table(this, 'Table', {
      tableName,
      billingMode: BillingMode.PAY_PER_REQUEST,
      partitionKey: { name: 'sessionId', type: AttributeType.STRING },
      // DynamoDB refuses to delete the table until this is off.
      deletionProtection: true,
      // The table can be restored to any second of the last 35 days.
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      // DynamoDB removes expired sessions within a few days. Until then, the store ignores them.
      timeToLiveAttribute: 'ttl',
      removalPolicy: RemovalPolicy.RETAIN,
    });
    new CfnOutput(this, 'KmsKeyArn', {
      description: "For the store's option kmsKeyArn, or KMS_KEY_ARN.",
      value: this.key.keyArn,
    });
    new CfnOutput(this, 'TableName', {
      description: "For the store's option tableName, or SESSIONS_TABLE.",
      value: this.table.tableName,
    });
  }

  /** Lets a role (of a task, a function, an instance) use the store. */
  allow({ grantPrincipal }: IGrantable): void {
    const table = [this.table.tableArn];
    const statements = [
      new PolicyStatement({
        sid: 'Sessions',
        actions: ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:DeleteItem'],
        resources: table,
      }),
      new PolicyStatement({
        sid: 'OnlyForAllIdsLengthAndClear',
        actions: ['dynamodb:Scan', 'dynamodb:BatchWriteItem'],
        resources: table,
      }),
      new PolicyStatement({ sid: 'OnlyForPing', actions: ['dynamodb:DescribeTable'], resources: table }),
      new PolicyStatement({
        sid: 'DataKeys',
        actions: ['kms:GenerateDataKey', 'kms:Decrypt'],
        resources: [this.key.keyArn],
      }),
    ];
    for (const statement of statements) grantPrincipal.addToPrincipalPolicy(statement);
  }
}
