// The table, the KMS key, the IAM policy and alarms for connect-dynamodb-kms, as a construct of AWS CDK. Copy this file into your
// project; it needs aws-cdk-lib and constructs.
//
//   const sessions = new Sessions(this, 'Sessions', { tableName: 'sessions' });
//   sessions.allow(service.taskDefinition.taskRole);
//   sessions.alarm({ topic, logGroup });

import { CfnOutput, Duration, RemovalPolicy } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb';
import { type IGrantable, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms';
import { FilterPattern, type ILogGroup, MetricFilter } from 'aws-cdk-lib/aws-logs';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';

export interface SessionsProps {
  /** The table's name. Use it as the store's option tableName, or as SESSIONS_TABLE. */
  readonly tableName?: string;
}

export interface SessionsAlarms {
  /** Is notified when an alarm begins and when it ends. */
  readonly topic: ITopic;
  /** The log group that the server's log goes to, for the alarm on failures of KMS. Without it, there is none. */
  readonly logGroup?: ILogGroup;
}

const MINUTE = Duration.minutes(1);

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

  /** Makes the alarms. DynamoDB publishes these metrics when they are not zero, so missing data is good news. */
  alarm({ topic, logGroup }: SessionsAlarms): void {
    const action = new SnsAction(topic);
    const alarm = (id: string, alarmDescription: string, metric: IMetric, threshold: number) => {
      const own = new Alarm(this, id, {
        alarmDescription,
        metric,
        threshold,
        comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        evaluationPeriods: 5,
        datapointsToAlarm: 3,
        treatMissingData: TreatMissingData.NOT_BREACHING,
      });
      own.addAlarmAction(action);
      own.addOkAction(action);
    };
    const ofTable = (metric: string) =>
      new MathExpression({
        expression: `SELECT SUM(${metric}) FROM SCHEMA("AWS/DynamoDB", Operation, TableName) WHERE TableName = '${this.table.tableName}'`,
        period: MINUTE,
      });
    alarm(
      'ThrottledAlarm',
      "DynamoDB throttles requests for sessions. Look for a hot session, or raise the table's maximum throughput.",
      ofTable('ThrottledRequests'),
      10,
    );
    alarm(
      'SystemErrorsAlarm',
      'DynamoDB fails with errors of its own (status 500). The SDK repeats such requests; look at the AWS Health Dashboard.',
      ofTable('SystemErrors'),
      10,
    );
    // DynamoDB counts these for the whole account and region, not by table.
    alarm(
      'UserErrorsAlarm',
      'DynamoDB refuses requests of this account and region, such as those without permission. Run npx connect-dynamodb-kms doctor.',
      new Metric({ namespace: 'AWS/DynamoDB', metricName: 'UserErrors', statistic: Stats.SUM, period: MINUTE }),
      10,
    );
    if (!logGroup) return;
    // KMS has no metric of failures. The store logs one line a minute for each operation and code.
    const failures = new MetricFilter(this, 'KmsFailures', {
      logGroup,
      filterPattern: FilterPattern.literal('?ERR_KMS_UNAVAILABLE ?ERR_KMS_THROTTLED ?ERR_KMS_KEY_UNUSABLE'),
      metricNamespace: 'connect-dynamodb-kms',
      metricName: `KmsFailures-${this.table.tableName}`,
    });
    alarm(
      'KmsAlarm',
      'KMS fails, throttles, or the key cannot be used. Sessions whose data key is cached go on; others fail.',
      failures.metric({ statistic: Stats.SUM, period: MINUTE }),
      1,
    );
  }
}
