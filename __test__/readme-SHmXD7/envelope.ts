import { decryptSessionData, encryptSessionData } from 'connect-dynamodb-kms';

const { encryptedData, encryptedKey, iv, authTag } = await encryptSessionData('a refresh token');
console.log(await decryptSessionData(encryptedData, encryptedKey, iv, authTag)); // a refresh token
