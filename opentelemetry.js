'use strict';

const { observe } = require('./lib/opentelemetry/observe.js');

module.exports = { observe };
