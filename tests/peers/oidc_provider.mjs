// An OpenID provider that nobody here wrote: `oidc-provider`, with its own pages for signing in.
//
//     node oidc_provider.mjs REDIRECT_URI [ALG]      prints {"issuer": ...} and serves until its stdin ends
//     node oidc_provider.mjs REDIRECT_URI ALG PORT   serves there, until it is killed

import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';

const modules = `${process.env.ELEVATE_TEST_NODE}/node_modules`;
const { Provider } = await import(`file://${modules}/oidc-provider/lib/index.js`);
const [redirectUri, algorithm = 'ES256', port] = process.argv.slice(2);

const key = (type, options, alg) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, use: 'sig' });
const people = {
  anna: { name: 'Anna Example', email: 'anna@example.com', groups: ['staff', 'sre'] },
  ben: { name: 'Ben Example', email: 'ben@example.com', groups: ['staff'] },
};

const server = createServer();
server.listen(Number(port ?? 0), '127.0.0.1', () => {
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'elevate-authority',
      client_secret: 'correct horse battery staple: 100% + more',
      redirect_uris: [redirectUri],
      id_token_signed_response_alg: algorithm,
    }],
    jwks: { keys: [key('ec', { namedCurve: 'P-256' }, 'ES256'), key('rsa', { modulusLength: 2048 }, 'RS256')] },
    claims: { openid: ['sub', 'auth_time'], profile: ['name', 'groups'], email: ['email'] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub, ...people[sub] }) }),
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ['for tests'] },
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});

if (port === undefined) process.stdin.on('end', () => process.exit(0)).resume();
