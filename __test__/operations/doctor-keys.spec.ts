// `doctor`: what can be wrong with the KMS keys and the permissions.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, afterEach, before, describe, it } from 'node:test';
import { KEY, Patient } from '../support/doctor.ts';

const policyPath = createRequire(import.meta.url).resolve('connect-dynamodb-kms/infrastructure/iam-policy.json');
const policy = JSON.parse(await readFile(policyPath, 'utf8'));

let patient: Patient;
before(async () => {
  patient = await Patient.start();
});
after(() => patient.stop());
afterEach(() => patient.aws.clearFaults());

const deny = (action: string, more = {}) =>
  patient.aws.fault({ action, status: 400, code: 'AccessDeniedException', message: 'not authorized', ...more });

describe('doctor finds a key', () => {
  const newKey = async (settings = {}): Promise<string> => (await patient.aws.kmsCall('CreateKey', settings)).KeyMetadata.Arn;
  /** The key is repeatable, so that of the patient must not be given as well. */
  const keyOptions = (...arns: string[]) => arns.flatMap((arn) => ['--kms-key-arn', arn]);
  const examine = (...arns: string[]) =>
    patient.examineWith([...patient.table, '--kms-endpoint', patient.aws.kms, '--record-version', '2', ...keyOptions(...arns)]);

  it('that is disabled, and the command that enables it', async () => {
    const arn = await newKey();
    await patient.aws.kmsCall('DisableKey', { KeyId: arn });
    const { status, findings, found } = await examine(arn);
    assert.deepEqual([status, found], [1, [`fail key: ${arn} is Disabled: no session can be read or written`]]);
    assert.equal(findings[0]!.next, `aws kms enable-key --key-id ${arn}`);
    await patient.aws.kmsCall('EnableKey', { KeyId: arn });
    assert.deepEqual((await examine(arn)).found, []);
  });

  it('that is about to be deleted', async () => {
    const arn = await newKey();
    await patient.aws.kmsCall('ScheduleKeyDeletion', { KeyId: arn, PendingWindowInDays: 7 });
    const { status, findings, found } = await examine(arn);
    assert.deepEqual([status, found], [1, [`fail key: ${arn} is PendingDeletion: no session can be read or written`]]);
    assert.match(findings[0]!.next!, /^aws kms cancel-key-deletion/);
  });

  for (const [settings, kind] of [
    [{ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' }, 'RSA_2048 for ENCRYPT_DECRYPT'],
    [{ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }, 'HMAC_256 for GENERATE_VERIFY_MAC'],
  ] as const) {
    it(`of the wrong kind: ${kind}`, async () => {
      const arn = await newKey(settings);
      const { status, found } = await examine(arn);
      assert.equal(status, 1);
      assert.deepEqual(found, [
        `fail key: ${arn} is of the wrong kind: ${kind}; data keys need SYMMETRIC_DEFAULT for ENCRYPT_DECRYPT`,
      ]);
    });
  }

  it('that does not exist', async () => {
    const arn = 'arn:aws:kms:us-east-1:111122223333:key/00000000-0000-0000-0000-000000000000';
    const { status, found } = await examine(arn);
    assert.equal(status, 1);
    assert.match(found.join('\n'), new RegExp(`^fail key: ${arn} does not exist \\(NotFoundException: [^\\n]+\\)$`));
  });

  it('that nobody named: the built-in default of another account', async () => {
    const settings = [...patient.table, '--kms-endpoint', patient.aws.kms, '--record-version', '2'];
    const { status, findings, found } = await patient.examineWith(settings);
    assert.equal(status, 1);
    assert.match(found[0]!, /^fail key: nobody named it, so it is the built-in default arn:aws:kms:.+another account$/);
    assert.match(findings[0]!.next!, /KMS_KEY_ARN/);
  });

  it('that is older and disabled, beside one that wraps', async () => {
    const older = await newKey();
    assert.deepEqual((await examine(KEY, older)).found, []);
    await patient.aws.kmsCall('DisableKey', { KeyId: older });
    const { status, found } = await examine(KEY, older);
    assert.deepEqual([status, found], [1, [`fail key: ${older} is Disabled: no session can be read or written`]]);
  });

  it('that is older and may not unwrap', async () => {
    const older = await newKey();
    await deny('kms:Decrypt', { containing: older });
    const { status, findings, found } = await examine(KEY, older);
    assert.equal(status, 1);
    assert.match(found.join('\n'), new RegExp(`^fail permission: kms:Decrypt is not allowed on ${older} [^\n]+$`));
    assert.ok(findings[0]!.next!.includes(`"Resource":"${older}"`));
  });

  it('whose state may not be seen, and tries it all the same', async () => {
    const disabled = await newKey();
    await patient.aws.kmsCall('DisableKey', { KeyId: disabled });
    await deny('kms:DescribeKey');
    const usable = await examine(KEY);
    assert.equal(usable.status, 0);
    assert.match(usable.found.join('\n'), /^note key: its state could not be seen/);
    const { status, found } = await examine(disabled);
    assert.equal(status, 1);
    assert.match(found[0]!, /^fail permission: kms:\w+ fails \(ERR_KMS_KEY_UNUSABLE: DisabledException/);
  });

  it('whose policy refuses the encryption context', async () => {
    for (const action of ['kms:GenerateDataKey', 'kms:Decrypt']) await deny(action, { containing: '"purpose"' });
    const { status, findings, found } = await patient.examine();
    assert.equal(status, 1);
    for (const action of ['GenerateDataKey', 'Decrypt']) {
      const refused = `fail permission: kms:${action} is allowed without an encryption context only: a policy refuses`;
      assert.ok(
        found.some((line) => line.startsWith(refused)),
        found.join('\n'),
      );
    }
    assert.match(findings[0]!.next!, /kms:EncryptionContext/);
  });

  it('whose policy asks for an encryption context that version 1 does not have', async () => {
    await deny('kms:GenerateDataKey', { containing: `${KEY}","KeySpec"` });
    const { status, found } = await patient.examineWith([...patient.table, ...patient.key]);
    assert.equal(status, 1);
    assert.match(found[0]!, /^fail permission: kms:GenerateDataKey is allowed only with an encryption context/);
  });
});

describe('doctor finds a permission that is missing', () => {
  const rows = policy.Statement.flatMap(({ Sid, Action }: any) => Action.map((action: string) => [action, Sid]));
  for (const [action, sid] of rows as [string, string][]) {
    it(action, async () => {
      await deny(action);
      const { status, findings, found } = await patient.examine();
      assert.equal(status, 1);
      // Without this one, sessions are read one by one.
      const isDispensable = sid.startsWith('OnlyFor') || action === 'dynamodb:BatchGetItem';
      const level = isDispensable ? 'warn' : 'fail';
      const lines = found.filter((line) => line.includes(' permission: '));
      assert.equal(lines.length, 1, found.join('\n'));
      assert.ok(lines[0]!.startsWith(`${level} permission: ${action} is not allowed on arn:aws:`), lines[0]);
      const { next } = findings.find(({ about, level: own }) => about === 'permission' && own === level)!;
      const [, json] = /^add to the role's policy.*?: (\{.+\})$/.exec(next!)!;
      const statement = JSON.parse(json!);
      assert.deepEqual([statement.Effect, statement.Action], ['Allow', action]);
    });
  }

  it('all of them at once', async () => {
    await deny('dynamodb:*');
    await deny('kms:*');
    const { status, found } = await patient.examine();
    assert.equal(status, 1);
    for (const [action] of rows)
      assert.ok(
        found.some((line) => line.includes(`permission: ${action} is not allowed`)),
        action,
      );
  });
});
