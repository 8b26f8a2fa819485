'use strict';

const { collect } = require('./lib/prometheus/collect.js');

module.exports = { collect };
