'use strict';

// `cloudformation`: the template.

const { template } = require('./template.js');

module.exports = template({
  name: 'cloudformation',
  description: `Prints the CloudFormation template of the table, a KMS key that rotates yearly, the least policy for the server's
role, and CloudWatch alarms if a topic is given. It is this file:`,
  files: ['cloudformation.yaml'],
  examples: ['cloudformation > sessions.yaml'],
});
