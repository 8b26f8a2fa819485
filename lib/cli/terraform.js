'use strict';

// `terraform`: the module.

const { template } = require('./template.js');

module.exports = template({
  name: 'terraform',
  description: `Prints the Terraform module of the table, a KMS key that rotates yearly, the least policy for the server's role, and
CloudWatch alarms if a topic is given. It is made of these files:`,
  files: ['terraform/main.tf', 'terraform/alarms.tf', 'terraform/variables.tf', 'terraform/outputs.tf'],
  examples: ['terraform > modules/sessions/main.tf'],
});
