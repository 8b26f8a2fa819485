// Run by Vitest; see test-runners.spec.ts.

/* global vi, describe, it, expect, beforeEach, afterEach */

import { DynamoDBSessionStore } from 'connect-dynamodb-kms';
import express from 'express';
import session from 'express-session';
import request from 'supertest';
import cases from './cases.cjs';

const remove = () => vi.useRealTimers();
const fakes = {
  'real timers': { install: remove, remove },
  'fake timers': { install: () => vi.useFakeTimers(), remove },
};
const packages = { DynamoDBSessionStore, express, session, request };
cases({ runner: { describe, it, expect, beforeEach, afterEach }, fakes, packages });
