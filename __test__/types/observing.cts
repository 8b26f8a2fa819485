// CommonJS from named imports of the entry points.

import { type Observation, observe } from 'connect-dynamodb-kms/opentelemetry';
import prometheus = require('connect-dynamodb-kms/prometheus');

export const observation: Observation = observe();
export const collect: typeof prometheus.collect = prometheus.collect;
