'use strict';

// What to look at if a command finds no session. During an incident, "not found" must not be taken
// for "logged out".

/**
 * A signed cookie: of express-session `s:ID.SIGNATURE`, of @fastify/session `ID.SIGNATURE`. The
 * signature is an HMAC-SHA256 in Base64, whose last character may be left out, and each of its
 * characters may be percent-encoded.
 */
const COOKIE = /^(?:s:|s%3a).*\.|\.(?:[\w+/-]|%2[bf]){43}(?:=|%3d)?$/i;

/**
 * Says on standard error why a session may not be found that is there.
 * @param {string} sid
 */
function hintAtSession(sid) {
  process.stderr.write(
    COOKIE.test(sid)
      ? 'This looks like the value of a cookie. The session id is what stands before the last dot, without s: or s%3A.\n'
      : "If there should be one: --table-name, --prefix and --hash-session-ids must be the application's.\n",
  );
}

/** Says on standard error what else than "logged out" it can mean that a user has no session. */
function hintAtUser() {
  process.stderr.write(
    "No session of this user was found. The user's id, --users-secret, --prefix and --table-name must be the application's.\n",
  );
}

module.exports = { hintAtSession, hintAtUser };
