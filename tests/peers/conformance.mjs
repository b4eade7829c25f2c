// Clients that nobody here wrote, against an authority: every check is one line of JSON on stdout.
//
//     node conformance.mjs ISSUER [ELSEWHERE ORIGIN]
//
// ISSUER signs people in. ELSEWHERE is another authority's issuer, with a path and without sign-in, answering at ORIGIN.
// `{"please": ...}` on stdout asks whoever started this to do something, and waits for a line on stdin.

import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { readFileSync } from 'node:fs';

const modules = `${process.env.ELEVATE_TEST_NODE}/node_modules`;
const require = createRequire(`${process.env.ELEVATE_TEST_NODE}/package.json`);
const load = async (name) => import(`file://${require.resolve(name)}`);
const [oauth, dpop, jose] = await Promise.all(['oauth4webapi', 'dpop', 'jose'].map(load));
const version = Object.fromEntries(
  ['oauth4webapi', 'dpop', 'jose'].map((name) => [name, JSON.parse(readFileSync(`${modules}/${name}/package.json`)).version]),
);
const [issuer, elsewhere, origin] = process.argv.slice(2);

// --- how a check is told -----------------------------------------------------------------------------------------

async function check(area, spec, what, clients, run) {
  const line = { area, check: what, spec, client: clients.join(', ') };
  line.version = clients.map((name) => version[name] ?? 'any Node.js').join(', ');
  try {
    line.result = await run();
    line.passed = true;
  } catch (error) {
    line.result = `${error?.stack ?? error} ${JSON.stringify(error?.cause ?? '')}`;
    line.passed = false;
  }
  console.log(JSON.stringify(line));
}

function same(seen, wanted, what = 'it') {
  if (JSON.stringify(seen) !== JSON.stringify(wanted)) {
    throw new Error(`${what} is ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`);
  }
}

// Whoever waits for this process does not wait for ever.
setTimeout(() => {
  console.error('five minutes have passed');
  process.exit(1);
}, 300_000).unref();

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function please(what) {
  console.log(JSON.stringify({ please: what }));
  await answers.next();
}

// --- what the library sees of a refusal --------------------------------------------------------------------------

// Runs what has to be refused; says `STATUS CODE` as the library read it.
async function refusal(run) {
  try {
    await run();
  } catch (error) {
    if (error instanceof oauth.ResponseBodyError) {
      same(error.response.headers.get('cache-control'), 'no-store', 'Cache-Control');
      same(typeof error.error_description, 'string', 'error_description');
      return `${error.status} ${error.error}`;
    }
    if (error instanceof oauth.WWWAuthenticateChallengeError) {
      const [{ scheme, parameters }] = error.cause;
      return [error.status, scheme === 'dpop' ? 'DPoP' : scheme, parameters.error].filter(Boolean).join(' ');
    }
    throw error;
  }
  throw new Error('it was not refused');
}

async function refused(wanted, run) {
  same(await refusal(run), wanted);
  return wanted;
}

// Once more with the nonce that the first answer brought (RFC 9449 section 8): the library keeps it, its user repeats.
async function withNonce(run) {
  try {
    return await run();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return run();
  }
}

// --- an authorization server, and a device -------------------------------------------------------------------------

const client = { client_id: 'elevate-cli' };
const none = oauth.None();
const discover = async (url, options) => {
  const at = new URL(url);
  return oauth.processDiscoveryResponse(at, await oauth.discoveryRequest(at, { algorithm: 'oauth2', ...options }));
};
const as = await discover(issuer);
const urn = (name) => `urn:elevate:resource:${name}`;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const details = JSON.stringify([{ type: 'elevate', claimed: { host: 'laptop', os: 'linux', tty: false, ssh: false } }]);

async function newDevice() {
  const keys = await oauth.generateKeyPair('ES256', { extractable: true });
  const jkt = await dpop.calculateThumbprint(keys.publicKey);
  return { keys, jkt, DPoP: oauth.DPoP(client, keys) };
}

function browser(url, login, answer, ...userCode) {
  const child = spawn('node', [new URL('browser.mjs', import.meta.url).pathname, url, login, answer, ...userCode]);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (said += data));
  return new Promise((done, failed) => {
    child.on('close', (code) => (code === 0 ? done(said) : failed(new Error(`the browser: ${said}`))));
  });
}

// RFC 8252 section 7.3: the first request that reaches a port of this machine.
function loopback() {
  const server = createServer();
  const called = new Promise((done) => {
    server.on('request', (request, response) => {
      const url = new URL(request.url, 'http://127.0.0.1');
      response.end('<!doctype html><title>done</title>You may close this window');
      if (url.pathname === '/callback') done(url);
    });
  });
  return new Promise((ready) => {
    server.listen(0, '127.0.0.1', () => {
      ready({ redirect: `http://127.0.0.1:${server.address().port}/callback`, called, close: () => server.close() });
    });
  });
}

const pushForm = async (over = {}) => ({
  response_type: 'code',
  redirect_uri: 'http://127.0.0.1:49152/callback',
  state: oauth.generateRandomState(),
  code_challenge: await oauth.calculatePKCECodeChallenge(oauth.generateRandomCodeVerifier()),
  code_challenge_method: 'S256',
  ...over,
});
const without = (form, name) => Object.fromEntries(Object.entries(form).filter(([known]) => known !== name));

async function push(form, options) {
  const response = await oauth.pushedAuthorizationRequest(as, client, options?.authentication ?? none, form, options);
  return oauth.processPushedAuthorizationResponse(as, client, response);
}

const exchangeForm = (over = {}) => ({
  subject_token: device.token,
  subject_token_type: ACCESS_TOKEN,
  resource: urn('wiki'),
  authorization_details: details,
  ...over,
});

// A token exchange, as the library makes one.
async function exchange(form, { by = device, authentication = none, client: who = client, grant = EXCHANGE } = {}) {
  return withNonce(async () => {
    const response = await oauth.genericTokenEndpointRequest(as, who, authentication, grant, form, by);
    return oauth.processGenericTokenEndpointResponse(as, who, response);
  });
}

// RFC 7662 takes credentials of whoever asks; here they are an access token and its proof.
const shows = (by) => async (_as, _client, _body, headers) => {
  const proof = await dpop.generateProof(by.keys, as.introspection_endpoint, 'POST', await nonce(), by.token);
  headers.set('authorization', `DPoP ${by.token}`);
  headers.set('dpop', proof);
};

async function introspect(token, by = device) {
  const response = await oauth.introspectionRequest(as, client, shows(by), token);
  return oauth.processIntrospectionResponse(as, client, response);
}

// Every answer brings a nonce for the next proof.
const nonce = async () => (await fetch(as.jwks_uri)).headers.get('dpop-nonce');

const resources = new URL(`${issuer}/resources`);
const look = (by = device, token = by.token) => oauth.protectedResourceRequest(token, 'GET', resources, undefined, null, by);

// --- metadata and keys ---------------------------------------------------------------------------------------------

await check('metadata', 'RFC 8414 3', 'metadata is found and names its issuer', ['oauth4webapi'], async () => {
  same(as.issuer, issuer, 'issuer');
  same(as.dpop_signing_alg_values_supported, ['ES256'], 'dpop_signing_alg_values_supported');
  same(as.code_challenge_methods_supported, ['S256'], 'code_challenge_methods_supported');
  same(as.token_endpoint_auth_methods_supported, ['none'], 'token_endpoint_auth_methods_supported');
  same(as.revocation_endpoint_auth_methods_supported, ['none'], 'revocation_endpoint_auth_methods_supported');
  same(as.introspection_endpoint_auth_methods_supported, ['DPoP'], 'introspection_endpoint_auth_methods_supported');
  return '200';
});
const remap = (url, options) => fetch(url.replace('https://localhost/', `${origin}/`), options);
await check('metadata', 'RFC 8414 3.1', 'an issuer with a path has it after the well-known part', ['oauth4webapi'], async () => {
  const other = await discover(elsewhere, { [oauth.customFetch]: remap });
  same(other.issuer, elsewhere, 'issuer');
  same(other.pushed_authorization_request_endpoint, undefined, 'without sign-in, the endpoint for it');
  return '200';
});
await check('metadata', 'OpenID Connect Discovery 4', 'no OpenID provider is claimed', ['oauth4webapi'], async () => {
  const response = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oidc' });
  same([response.status, response.headers.get('content-type')], [404, 'application/json']);
  return '404';
});
await check('metadata', 'RFC 8414 3.3', 'metadata of another issuer is not taken', ['oauth4webapi'], async () => {
  const response = await oauth.discoveryRequest(new URL(issuer), { algorithm: 'oauth2' });
  const seen = await oauth.processDiscoveryResponse(new URL('https://other.example'), response).catch((error) => error.code);
  same(seen, 'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED');
  return 'refused by the client';
});
await check('keys', 'RFC 7517 5', 'the set holds public ES256 keys only, each with its id', ['jose'], async () => {
  const { keys } = await (await fetch(as.jwks_uri)).json();
  for (const key of keys) {
    same([key.kty, key.crv, key.alg, key.use, key.d], ['EC', 'P-256', 'ES256', 'sig', undefined], 'a key');
    same(typeof key.kid, 'string', 'kid');
    await jose.importJWK(key);
  }
  return '200';
});

// --- signing in: PAR, PKCE, code, DPoP -------------------------------------------------------------------------------

const device = await newDevice();
let used;
await check('sign-in', 'RFC 9126 2, RFC 7636, RFC 9207, RFC 9449 10', 'a person signs in: pushed request, PKCE, iss, code bound to a key', ['oauth4webapi'], async () => {
  const { redirect, called, close } = await loopback();
  const [verifier, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState()];
  const code_challenge = await oauth.calculatePKCECodeChallenge(verifier);
  const form = await pushForm({ redirect_uri: redirect, state, code_challenge });
  const { request_uri, expires_in } = await withNonce(() => push(form, device));
  same(expires_in, 300, 'expires_in');
  const url = new URL(as.authorization_endpoint);
  url.searchParams.set('client_id', client.client_id);
  url.searchParams.set('request_uri', request_uri);
  const [answer] = await Promise.all([called, browser(url.href, 'anna', 'allow')]);
  close();
  // Checks `iss`, since metadata says that it is always there.
  const parameters = oauth.validateAuthResponse(as, client, answer, state);
  const redeem = () => oauth.authorizationCodeGrantRequest(as, client, none, parameters, redirect, verifier, device);
  const response = await withNonce(redeem);
  const pragma = [response.headers.get('cache-control'), response.headers.get('pragma')];
  same(pragma, ['no-store', 'no-cache'], 'RFC 6749 section 5.1');
  same(response.headers.get('content-type'), 'application/json', 'Content-Type');
  const signedIn = await oauth.processAuthorizationCodeResponse(as, client, response);
  same(signedIn.token_type, 'dpop', 'token_type');
  device.token = signedIn.access_token;
  used = { redeem, answered: { answer, state }, url };
  return '200';
});
await check('sign-in', 'RFC 9207 2.4', 'an answer of another issuer is not taken', ['oauth4webapi'], async () => {
  const { answer, state } = used.answered;
  const forged = new URL(answer);
  forged.searchParams.set('iss', 'https://other.example');
  let code;
  try {
    oauth.validateAuthResponse(as, client, forged, state);
  } catch (error) {
    code = error.code;
  }
  same(code, 'OAUTH_INVALID_RESPONSE');
  return 'refused by the client';
});
await check('sign-in', 'RFC 9126 4', 'a request_uri is good once', ['fetch'], async () => {
  const text = await (await fetch(used.url)).text();
  if (!text.includes('This sign-in is over')) throw new Error(text);
  return 'a page says that it is over';
});
await check('sign-in', 'RFC 9126 5', 'a request that was not pushed goes nowhere', ['fetch'], async () => {
  const bare = new URL(as.authorization_endpoint);
  for (const [name, value] of Object.entries({ ...client, ...(await pushForm()) })) bare.searchParams.set(name, value);
  const response = await fetch(bare, { redirect: 'manual' });
  same([response.status, response.headers.get('location')], [400, null]);
  return '400, a page';
});

// --- DPoP ---------------------------------------------------------------------------------------------------------

await check('DPoP', 'RFC 9449 8', 'the token endpoint asks for a nonce, and the library brings it', ['oauth4webapi'], async () => {
  const fresh = { ...device, DPoP: oauth.DPoP(client, device.keys) };
  const once = async () => {
    const response = await oauth.genericTokenEndpointRequest(as, client, none, EXCHANGE, exchangeForm(), fresh);
    return oauth.processGenericTokenEndpointResponse(as, client, response);
  };
  await refused('400 use_dpop_nonce', once);
  await once();
  return '400 use_dpop_nonce, then 200';
});
await check('DPoP', 'RFC 9449 9', 'so does a resource, with a challenge', ['oauth4webapi'], async () => {
  const fresh = { ...device, DPoP: oauth.DPoP(client, device.keys) };
  await refused('401 DPoP use_dpop_nonce', () => look(fresh));
  same((await look(fresh)).status, 200, 'the status');
  return '401 DPoP use_dpop_nonce, then 200';
});
await check('DPoP', 'RFC 9449 7.1', 'a resource takes a proof of the other client', ['dpop'], async () => {
  const proof = await dpop.generateProof(device.keys, resources.href, 'GET', await nonce(), device.token);
  const headers = { authorization: `DPoP ${device.token}`, dpop: proof };
  same((await fetch(resources, { headers })).status, 200, 'the status');
  return '200';
});
await check('DPoP', 'RFC 9449 7.2', 'a bound token is no bearer token', ['oauth4webapi'], () =>
  refused('401 bearer invalid_token', () => oauth.protectedResourceRequest(device.token, 'GET', resources)));
await check('DPoP', 'RFC 9449 10.1', 'a code is bound by dpop_jkt alone', ['oauth4webapi'], async () => {
  const { request_uri } = await push(await pushForm({ dpop_jkt: device.jkt }));
  same(request_uri.startsWith('urn:ietf:params:oauth:request_uri:'), true, 'request_uri');
  return '201';
});
await check('DPoP', 'RFC 9449 10.1', "dpop_jkt of another key than the proof's", ['oauth4webapi'], async () => {
  const form = await pushForm({ dpop_jkt: (await newDevice()).jkt });
  return refused('400 invalid_request', () => withNonce(() => push(form, device)));
});

// A proof of `jose`, honest but for what is changed.
async function proof(at, change = {}) {
  const { header = {}, claims = {}, key = device.keys.privateKey, signature } = change;
  const payload = {
    jti: oauth.generateRandomNonce(),
    htm: at.method,
    htu: at.url,
    iat: now(),
    nonce: await nonce(),
    ...(at.token && { ath: jose.base64url.encode(new Uint8Array(await crypto.subtle.digest('SHA-256', Buffer.from(at.token)))) }),
    ...claims,
  };
  const jwk = await jose.exportJWK(device.keys.publicKey);
  const signed = new jose.SignJWT(payload).setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...header });
  const compact = await signed.sign(key);
  return signature ? signature(compact) : compact;
}

// Sends what it is given, header for header.
function send(at, proofs, token) {
  const body = at.method === 'POST' ? new URLSearchParams({ grant_type: EXCHANGE, ...client, ...exchangeForm() }).toString() : '';
  const headers = { DPoP: proofs };
  if (token) headers.Authorization = `DPoP ${token}`;
  if (body) Object.assign(headers, { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': body.length });
  return new Promise((done, failed) => {
    const request = httpsRequest(at.url, { method: at.method, headers }, (response) => {
      let text = '';
      response.on('data', (data) => (text += data));
      response.on('end', () => done({ status: response.statusCode, challenge: response.headers['www-authenticate'], body: JSON.parse(text) }));
    });
    request.on('error', failed);
    request.end(body);
  });
}

const places = () => [
  { what: 'token endpoint', url: as.token_endpoint, method: 'POST', no: '400 invalid_dpop_proof' },
  { what: 'resource', url: resources.href, method: 'GET', token: device.token, no: '401 DPoP invalid_dpop_proof' },
];
const said = ({ status, challenge, body }) =>
  [status, challenge?.startsWith('DPoP error="') && 'DPoP', challenge?.match(/error="(.*?)"/)?.[1] ?? body.error].filter(Boolean).join(' ');
const p384 = await jose.generateKeyPair('ES384', { extractable: true });
const stranger = await jose.generateKeyPair('ES256', { extractable: true });
const now = () => Math.floor(Date.now() / 1000);
const only = (change) => async (at) => [await proof(at, change)];
const unsigned = (jwt) => `${jose.base64url.encode(JSON.stringify({ ...jose.decodeProtectedHeader(jwt), alg: 'none' }))}.${jwt.split('.')[1]}.`;
const publicP384 = await jose.exportJWK(p384.publicKey);
// Each with the reason that the answer has to give: no other mistake may be why it is refused.
const broken = [
  ['1', 'two proofs', async (at) => [await proof(at), await proof(at)], 'exactly one DPoP header'],
  ['1', 'no proof', async () => [], 'exactly one DPoP header'],
  ['2', 'no JWT', async () => ['nonsense'], 'no JWT'],
  ['2', 'two JWTs in one header', async (at) => [`${await proof(at)}, ${await proof(at)}`], "header can't be read"],
  ...['jti', 'htm', 'htu', 'iat'].map((claim) => ['3', `no ${claim}`, only({ claims: { [claim]: undefined } }), 'claims are wrong']),
  ['4', 'typ is JWT', only({ header: { typ: 'JWT' } }), "'typ' is not"],
  ['5', 'alg is none', only({ signature: unsigned }), "header can't be read"],
  ['5', 'alg is symmetric', only({ header: { alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } }, key: new Uint8Array(32) }), "'alg' is not ES256"],
  ['5', 'alg is one that metadata does not list', only({ header: { alg: 'ES384', jwk: publicP384 }, key: p384.privateKey }), "'alg' is not ES256"],
  ['6', 'another key signed', only({ key: stranger.privateKey }), 'signature'],
  ['7', 'the private key is in it', async (at) => [await proof(at, { header: { jwk: await jose.exportJWK(device.keys.privateKey) } })], 'private key'],
  ['8', 'for another method', only({ claims: { htm: 'PUT' } }), "'htm' is another method"],
  ['9', 'for another URL', only({ claims: { htu: `${issuer}/revoke` } }), "'htu' is another URL"],
  ['10', 'a nonce of nobody', only({ claims: { nonce: 'made-up' } }), 'fresh nonce', 'use_dpop_nonce'],
  ['10', 'no nonce', only({ claims: { nonce: undefined } }), 'fresh nonce', 'use_dpop_nonce'],
  ['11', 'made two minutes ago', (at) => only({ claims: { iat: now() - 120 } })(at), 'behind the authority'],
  ['11', 'from the future', (at) => only({ claims: { iat: now() + 120 } })(at), 'ahead of the authority'],
];
for (const [number, what, make, because, error = 'invalid_dpop_proof'] of broken) {
  for (const at of places()) {
    await check('DPoP', `RFC 9449 4.3 (${number})`, `${what}, at the ${at.what}`, ['jose'], async () => {
      const wanted = at.no.replace('invalid_dpop_proof', error);
      const answer = await send(at, await make(at), at.token);
      same(said(answer), wanted);
      same(answer.body.error_description.includes(because), true, `"${answer.body.error_description}" with "${because}"`);
      return wanted;
    });
  }
}
const resource = () => places()[1];
await check('DPoP', 'RFC 9449 4.3 (9)', 'query, fragment, case and default forms of a URL do not count', ['jose'], async () => {
  const written = [`${resources}?a=b#c`, resources.href.replace('https://localhost', 'HTTPS://LocalHost'), resources.href.replace('resources', '%72esources'), resources.href.replace('/resources', '/x/../resources')];
  for (const htu of written) same((await send(resource(), [await proof(resource(), { claims: { htu } })], device.token)).status, 200, htu);
  return '200';
});
await check('DPoP', 'RFC 9449 4.3 (12a)', 'ath is of another token', ['dpop'], async () => {
  const other = await dpop.generateProof(device.keys, resources.href, 'GET', await nonce(), 'another token');
  same(said(await send(resource(), [other], device.token)), '401 DPoP invalid_dpop_proof');
  return '401 DPoP invalid_dpop_proof';
});
await check('DPoP', 'RFC 9449 4.3 (12a)', 'no ath', ['dpop'], async () => {
  const other = await dpop.generateProof(device.keys, resources.href, 'GET', await nonce());
  same(said(await send(resource(), [other], device.token)), '401 DPoP invalid_dpop_proof');
  return '401 DPoP invalid_dpop_proof';
});
await check('DPoP', 'RFC 9449 4.3 (12b)', 'the token is bound to another key', ['dpop'], async () => {
  const thief = await dpop.generateKeyPair('ES256');
  const other = await dpop.generateProof(thief, resources.href, 'GET', await nonce(), device.token);
  same(said(await send(resource(), [other], device.token)), '401 DPoP invalid_token');
  return '401 DPoP invalid_token';
});
for (const at of places()) {
  await check('DPoP', 'RFC 9449 11.1', `the same proof twice, at the ${at.what}`, ['jose'], async () => {
    const once = [await proof(at)];
    same((await send(at, once, at.token)).status, 200, 'the first');
    same(said(await send(at, once, at.token)), at.no);
    return `200, then ${at.no}`;
  });
}

// --- token exchange -------------------------------------------------------------------------------------------------

let grant;
await check('token exchange', 'RFC 8693 2', 'an elevation', ['oauth4webapi'], async () => {
  grant = await exchange(exchangeForm({ scope: 'read' }));
  same([grant.token_type, grant.issued_token_type, grant.scope], ['dpop', ACCESS_TOKEN, 'read']);
  return '200';
});
await check('token exchange', 'RFC 9068 4, RFC 9449 6.1', "a service checks the grant's signature, claims and binding", ['jose'], async () => {
  const keys = jose.createRemoteJWKSet(new URL(as.jwks_uri));
  const wanted = { issuer, audience: 'https://wiki.test.invalid', typ: 'at+jwt', algorithms: ['ES256'], requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'] };
  const { payload } = await jose.jwtVerify(grant.access_token, keys, wanted);
  const jkt = await jose.calculateJwkThumbprint(await jose.exportJWK(device.keys.publicKey));
  same([payload.cnf, payload.client_id, payload.scope], [{ jkt }, client.client_id, 'read'], 'claims');
  return 'verified by the client';
});
await check('token exchange', 'RFC 9068 4, RFC 9449 7.1', 'a service checks the grant and a proof made with it', ['oauth4webapi', 'dpop'], async () => {
  const url = 'https://wiki.test.invalid/page';
  const headers = { authorization: `DPoP ${grant.access_token}`, dpop: await dpop.generateProof(device.keys, url, 'GET', undefined, grant.access_token) };
  const claims = await oauth.validateJwtAccessToken(as, new Request(url, { headers }), 'https://wiki.test.invalid', { requireDPoP: true });
  same(claims.cnf.jkt, device.jkt, 'cnf.jkt');
  return 'verified by the client';
});
const INVALID = '400 invalid_request';
const other = await newDevice();
for (const [what, form, by] of [
  ['a subject token of nobody', () => exchangeForm({ subject_token: 'made-up' })],
  ['no subject token', () => without(exchangeForm(), 'subject_token')],
  ['a subject token of a type that is not taken', () => exchangeForm({ subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' })],
  ['a subject token as what it is not', () => exchangeForm({ subject_token_type: 'urn:ietf:params:oauth:token-type:jwt' })],
  ['a subject token that another key is bound to', () => exchangeForm(), other],
  ['an actor', () => exchangeForm({ actor_token: device.token, actor_token_type: ACCESS_TOKEN })],
  ['a type of token that is not issued', () => exchangeForm({ requested_token_type: 'urn:ietf:params:oauth:token-type:saml2' })],
]) {
  await check('token exchange', 'RFC 8693 2.2.2', what, ['oauth4webapi'], () => refused(INVALID, () => exchange(form(), { by })));
}
for (const [what, form] of [
  ['a resource that is not there', () => exchangeForm({ resource: urn('nowhere') })],
  ['a resource that is none of ours', () => exchangeForm({ resource: 'https://wiki.test.invalid' })],
  ['a resource that is no URI', () => exchangeForm({ resource: '../x' })],
  ['no resource', () => without(exchangeForm(), 'resource')],
  ['two resources', () => [...Object.entries(exchangeForm()), ['resource', urn('prod-api')]]],
  ['an audience', () => exchangeForm({ audience: 'https://wiki.test.invalid' })],
]) {
  await check('token exchange', 'RFC 8707 2', what, ['oauth4webapi'], () => refused('400 invalid_target', () => exchange(form())));
}
await check('token exchange', 'RFC 9396 5', 'details of a type that is not known', ['oauth4webapi'], () =>
  refused('400 invalid_authorization_details', () => exchange(exchangeForm({ authorization_details: '[{"type":"other"}]' }))));

// --- the token endpoint's errors --------------------------------------------------------------------------------------

const elsewhereClient = async () => discover(elsewhere, { [oauth.customFetch]: remap });
for (const [error, what, run] of [
  ['400 invalid_request', 'a parameter twice', () => exchange([...Object.entries(exchangeForm()), ['scope', 'read'], ['scope', 'write']])],
  ['400 invalid_request', 'a parameter without a value is none', () => exchange(exchangeForm({ subject_token: '' }))],
  ['400 invalid_client', 'a client that is not known', () => exchange(exchangeForm(), { client: { client_id: 'other' } })],
  ['400 invalid_client', 'a client that shows a secret in the form', () => exchange(exchangeForm(), { authentication: oauth.ClientSecretPost('secret') })],
  ['401 basic', 'a client that shows a secret in a header', () => exchange(exchangeForm(), { authentication: oauth.ClientSecretBasic('secret') })],
  ['400 invalid_grant', 'a code of nobody', () => exchange({ code: 'made-up', redirect_uri: 'http://127.0.0.1:1/callback', code_verifier: oauth.generateRandomCodeVerifier() }, { grant: 'authorization_code' })],
  ['400 invalid_grant', "a device's code of nobody", () => exchange({ device_code: 'made-up' }, { grant: 'urn:ietf:params:oauth:grant-type:device_code' })],
  ['400 unauthorized_client', 'a code, where nobody signs in', async () => {
    const there = await elsewhereClient();
    const by = { DPoP: oauth.DPoP(client, device.keys), [oauth.customFetch]: remap };
    const once = async () => {
      const response = await oauth.genericTokenEndpointRequest(there, client, none, 'authorization_code', { code: 'x' }, by);
      return oauth.processGenericTokenEndpointResponse(there, client, response);
    };
    return withNonce(once);
  }],
  ['400 unsupported_grant_type', 'client credentials', () => exchange({}, { grant: 'client_credentials' })],
  ['400 unsupported_grant_type', 'a refresh token: there are none', () => exchange({ refresh_token: 'x' }, { grant: 'refresh_token' })],
  ['400 invalid_scope', 'a scope that the resource has not', () => exchange(exchangeForm({ scope: 'admin' }))],
  ['400 invalid_scope', 'a scope that is none', () => exchange(exchangeForm({ scope: '"' }))],
]) {
  await check('token endpoint', 'RFC 6749 5.2', what, ['oauth4webapi'], () => refused(error, run));
}
await check('token endpoint', 'RFC 6749 5.2', 'no grant type', ['fetch'], async () => {
  const at = places()[0];
  const headers = { dpop: await proof(at) };
  const response = await fetch(at.url, { method: 'POST', headers, body: new URLSearchParams(client) });
  same([response.status, (await response.json()).error], [400, 'invalid_request']);
  return INVALID;
});
await check('token endpoint', 'RFC 6749 3.2', 'JSON is no form', ['fetch'], async () => {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(as.token_endpoint, { method: 'POST', headers, body: '{}' });
  same([response.status, (await response.json()).error], [400, 'invalid_request']);
  return INVALID;
});

// --- pushed requests ----------------------------------------------------------------------------------------------------

for (const [error, what, change] of [
  ['unsupported_response_type', 'another response type', (form) => ({ ...form, response_type: 'token' })],
  ['invalid_request', 'another request_uri in it', (form) => ({ ...form, request_uri: 'urn:x' })],
  ['invalid_request', 'a redirect to elsewhere', (form) => ({ ...form, redirect_uri: 'https://evil.example/callback' })],
  ['invalid_request', 'no PKCE', (form) => without(form, 'code_challenge')],
  ['invalid_request', 'PKCE without a hash', (form) => ({ ...form, code_challenge_method: 'plain' })],
]) {
  await check('pushed requests', 'RFC 9126 2.3', what, ['oauth4webapi'], async () => {
    const form = change(await pushForm());
    return refused(`400 ${error}`, () => withNonce(() => push(form, device)));
  });
}
await check('pushed requests', 'RFC 9126 2.3', 'a client that shows a secret', ['oauth4webapi'], async () => {
  const form = await pushForm();
  return refused('401 basic', () => withNonce(() => push(form, { ...device, authentication: oauth.ClientSecretBasic('secret') })));
});
await check('pushed requests', 'RFC 9126 2.3', 'another method', ['fetch'], async () => {
  const response = await fetch(as.pushed_authorization_request_endpoint);
  same([response.status, response.headers.get('allow')], [405, 'POST']);
  return '405';
});
await check('pushed requests', 'RFC 9126 2.3', 'more than a request has to be', ['oauth4webapi'], async () => {
  const form = await pushForm({ elevate_host: 'x'.repeat(300_000) });
  return refused('413 invalid_request', () => push(form));
});
await check('pushed requests', 'RFC 9126 2.3', 'too many requests', ['fetch'], async () => {
  const send = () => fetch(`${elsewhere.replace('https://localhost', origin)}/par`, { method: 'POST', body: new URLSearchParams(client) });
  const all = await Promise.all(Array.from({ length: 60 }, send));
  const no = all.find((response) => response.status === 429);
  same(Number(no?.headers.get('retry-after')) > 0, true, 'Retry-After');
  return '429';
});

// --- devices without a browser ----------------------------------------------------------------------------------------------

async function deviceCode() {
  const response = await oauth.deviceAuthorizationRequest(as, client, none, {});
  return oauth.processDeviceAuthorizationResponse(as, client, response);
}
const poll = (codes, by) => withNonce(async () => {
  const response = await oauth.deviceCodeGrantRequest(as, client, none, codes.device_code, by);
  return oauth.processDeviceCodeResponse(as, client, response);
});
const headless = await newDevice();
let codes;
await check('device', 'RFC 8628 3.2', 'a device gets its two codes', ['oauth4webapi'], async () => {
  codes = await deviceCode();
  same([codes.expires_in, codes.interval, codes.verification_uri], [600, 5, `${issuer}/device`]);
  return '200';
});
await check('device', 'RFC 8628 3.5', 'nobody has answered yet', ['oauth4webapi'], () => refused('400 authorization_pending', () => poll(codes, headless)));
await check('device', 'RFC 8628 3.5', 'asked again before its time', ['oauth4webapi'], () => refused('400 slow_down', () => poll(codes, headless)));
await check('device', 'RFC 8628 3, RFC 9449 5', 'somebody allows it; the sign-in is bound to the key that takes it', ['oauth4webapi'], async () => {
  await browser(codes.verification_uri, 'ben', 'allow', codes.user_code);
  const { access_token } = await poll(codes, headless);
  headless.token = access_token;
  await withNonce(() => look(headless));
  return '200';
});
await check('device', 'RFC 8628 3.5', 'a code is good once', ['oauth4webapi'], () => refused('400 invalid_grant', () => poll(codes, headless)));
await check('device', 'RFC 8628 3.5', 'somebody refuses it', ['oauth4webapi'], async () => {
  const no = await deviceCode();
  await browser(no.verification_uri, 'ben', 'refuse', no.user_code);
  return refused('400 access_denied', () => poll(no, headless));
});
await check('device', 'RFC 8628 3.5', 'nobody answered in time', ['oauth4webapi'], async () => {
  const late = await deviceCode();
  await please('let ten minutes pass for codes');
  return refused('400 expired_token', () => poll(late, headless));
});
await check('device', 'RFC 8628 3.1', 'a client that is not known', ['oauth4webapi'], () =>
  refused('400 invalid_client', async () => {
    const who = { client_id: 'other' };
    const response = await oauth.deviceAuthorizationRequest(as, who, none, {});
    return oauth.processDeviceAuthorizationResponse(as, who, response);
  }));

// --- introspection and revocation ---------------------------------------------------------------------------------------------

await check('introspection', 'RFC 7662 2.2, RFC 9449 6.2', 'a grant that stands, with its binding', ['oauth4webapi', 'dpop'], async () => {
  const seen = await introspect(grant.access_token);
  same([seen.active, seen.iss, seen.scope, seen.cnf], [true, issuer, 'read', { jkt: device.jkt }]);
  return '200, active';
});
await check('introspection', 'RFC 7662 2.2', 'a token of nobody', ['oauth4webapi', 'dpop'], async () => {
  same(await introspect('made-up'), { active: false });
  return '200, not active';
});
await check('introspection', 'RFC 7662 2.1', 'nobody looks without credentials', ['oauth4webapi'], () =>
  // Who shows nothing made no mistake: the challenge names none (RFC 6750 section 3.1).
  refused('401 DPoP', async () => {
    const response = await oauth.introspectionRequest(as, client, none, grant.access_token);
    return oauth.processIntrospectionResponse(as, client, response);
  }));
const revoke = async (token) => oauth.processRevocationResponse(await oauth.revocationRequest(as, client, none, token));
await check('revocation', 'RFC 7009 2', 'a grant ends, and is seen to at once', ['oauth4webapi', 'dpop'], async () => {
  await revoke(grant.access_token);
  same(await introspect(grant.access_token), { active: false });
  return '200';
});
await check('revocation', 'RFC 7009 2.2', 'a token that is over or of nobody is no error', ['oauth4webapi'], async () => {
  await revoke(grant.access_token);
  await revoke('made-up');
  return '200';
});
await check('revocation', 'RFC 7009 2.2.1', 'no token', ['fetch'], async () => {
  const response = await fetch(as.revocation_endpoint, { method: 'POST', body: new URLSearchParams(client) });
  same([response.status, (await response.json()).error], [400, 'invalid_request']);
  return INVALID;
});
await check('revocation', 'RFC 7009 2', 'a sign-in ends', ['oauth4webapi'], async () => {
  await revoke(headless.token);
  return refused('401 DPoP invalid_token', () => withNonce(() => look(headless)));
});
await check('sign-in', 'RFC 6749 4.1.2', 'a code that comes twice ends what it became', ['oauth4webapi'], async () => {
  await refused('400 invalid_grant', async () => oauth.processAuthorizationCodeResponse(as, client, await withNonce(used.redeem)));
  await refused('401 DPoP invalid_token', () => withNonce(() => look()));
  return '400 invalid_grant';
});
process.exit(0);
