// A person with a browser: headless Chromium signs in for real.
//
//     node browser.mjs URL LOGIN ANSWER [USER_CODE]   prints what the last page says
//
// ANSWER is the button to press where the authority asks: "allow" or "refuse". SCREENSHOT names a PNG of that page.

import { createRequire } from 'node:module';

const require = createRequire(`${process.env.ELEVATE_TEST_NODE}/package.json`);
const { chromium } = require('playwright-core');
const [url, login, answer, userCode] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.ELEVATE_TEST_CHROMIUM ?? '/usr/bin/chromium',
  args: ['--disable-dev-shm-usage', '--disable-gpu'],
});
try {
  // The CA is the test's own; the client checks it, and the browser is not what is tested.
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  page.setDefaultTimeout(45_000);
  await page.goto(url);
  if (userCode) {
    await page.fill('input[name=user_code]', userCode);
    await page.click('button');
  }
  await page.fill('input[name=login]', login);
  await page.fill('input[name=password]', 'any');
  await page.click('button[type=submit]');
  // The provider asks for consent the first time.
  const asked = page.locator('form[action="/sign_in/confirm"]');
  const consent = page.locator('button:has-text("Continue")');
  await asked.or(consent).first().waitFor();
  if (await consent.count()) await consent.click();
  await asked.waitFor();
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
  console.log(await page.innerText('main'));
  await page.click(`button[value=${answer}]`);
  await page.getByText('close this window').waitFor();
  console.log(await page.innerText('body'));
} finally {
  await browser.close();
}
