'use strict';

// What the analysis knows of a value, and of a place that answers.

/** What an expression gives. */
class Value {
  constructor({ reply = false, returned = [], unreturned = [], promise = false } = {}) {
    /** It is the reply, or waits for it: who awaits it waits for every answer. */
    this.reply = reply;
    /** Answers that who awaits it waits for. */
    this.returned = new Set(returned);
    /** Answers in it that nobody waits for. */
    this.unreturned = new Set(unreturned);
    /** It is a promise, whatever the function is. */
    this.promise = promise;
  }
}

/** One place that answers. */
class Answer {
  constructor(node, module, kind) {
    Object.assign(this, { node, module, kind, exit: undefined });
  }
}

const NOTHING = new Value();
const join = (values, more = {}) =>
  new Value({
    reply: values.some((value) => value.reply),
    returned: values.flatMap((value) => [...value.returned]),
    unreturned: values.flatMap((value) => [...value.unreturned]),
    ...more,
  });

module.exports = { Answer, join, NOTHING, Value };
