// Drives a page of `mamc export --web` in headless Chromium; tests/test_web.py
// reads the JSON that it prints. Usage: node browser.cjs JOB.json
const { spawn } = require("node:child_process");
const { readFileSync } = require("node:fs");

const job = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const { chromium } = require(job.driver);
const url = `http://127.0.0.1:${job.port}/`;
const result = { errors: [], hosts: [], photos: [] };

async function answer(page, number) {
  await page.waitForSelector(`body[data-done="${number}"]`, { timeout: 120e3 });
  return page.evaluate(() => ({
    names: [...document.querySelectorAll("#top li")].map((r) => r.dataset.name),
    scores: [...document.querySelectorAll("#top li")].map((r) =>
      Number(r.dataset.probability),
    ),
    unknown: !document.getElementById("unknown").hidden,
    status: document.getElementById("status").textContent,
    maps: [...document.querySelectorAll("#maps canvas")].map((c) =>
      c.getAttribute("aria-label"),
    ),
    answer: document.getElementById("answer").textContent,
  }));
}

async function ready(page) {
  await page.waitForSelector("body[data-ready]", { timeout: 120e3 });
}

function watch(page) {
  page.on("console", (m) => {
    // LiteRT.js writes its log, from INFO on, where errors go.
    const log = /^(INFO|WARNING): /.test(m.text());
    if (m.type() === "error" && !log) result.errors.push(m.text());
  });
  page.on("pageerror", (error) => result.errors.push(String(error)));
}

async function serve() {
  const [program, ...options] = job.server;
  const server = spawn(program, options, { stdio: "ignore" });
  for (let tries = 0; tries < 100; tries++) {
    try {
      await fetch(url);
      return server;
    } catch {
      await new Promise((done) => setTimeout(done, 100));
    }
  }
  throw new Error("The server does not answer.");
}

async function keyboard(page) {
  await page.keyboard.press("Tab");
  result.focused = await page.evaluate(() => document.activeElement.id);
  await page.keyboard.press("Enter");
}

async function give(page, photo, how) {
  const data = readFileSync(photo).toString("base64");
  const job = { data, how };
  await page.evaluate(({ data, how }) => {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], "a.jpg", { type: "image/jpeg" }));
    const options = { bubbles: true, cancelable: true };
    const event =
      how === "drop"
        ? new DragEvent("drop", { ...options, dataTransfer: transfer })
        : new ClipboardEvent("paste", { ...options, clipboardData: transfer });
    document.body.dispatchEvent(event);
  }, job);
}

async function main() {
  let server = await serve();
  const browser = await chromium.launch({
    executablePath: job.chromium,
    args: [
      "--no-sandbox",
      "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ],
  });
  try {
    const context = await browser.newContext({
      viewport: { width: 1100, height: 900 },
    });
    // Of the context: what the service worker asks for counts too.
    context.on("request", (r) => result.hosts.push(new URL(r.url()).host));
    const page = await context.newPage();
    watch(page);
    // From the start: a listener set just before the key may come too late.
    page.on("filechooser", (chooser) => chooser.setFiles(job.photos[0]));
    await page.goto(url);
    await ready(page);
    let number = 0;
    for (const photo of job.photos) {
      number += 1;
      if (number === 1) await keyboard(page);
      else if (number === 2) await give(page, photo, "drop");
      else if (number === 3) await give(page, photo, "paste");
      else if (number === 4) await page.setInputFiles("#camera", photo);
      else await page.setInputFiles("#file", photo);
      result.photos.push(await answer(page, number));
    }
    await page.setInputFiles("#file", job.no_photo);
    await page.waitForFunction(() =>
      document.getElementById("status").textContent.includes("no photo"),
    );
    await page.setInputFiles("#file", job.shown);
    await answer(page, job.photos.length + 2);
    for (const [scheme, width, path] of job.shots) {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize({ width, height: 800 });
      await page.screenshot({ path, fullPage: true });
      result.wide ??= [];
      result.wide.push(
        await page.evaluate(
          () => document.documentElement.scrollWidth - innerWidth,
        ),
      );
    }
    await page.waitForSelector("body[data-offline]", { timeout: 60e3 });
    server.kill();
    await new Promise((done) => server.once("exit", done));
    server = null;
    await page.reload();
    await ready(page);
    await page.setInputFiles("#file", job.photos[0]);
    result.offline = await answer(page, 1);
  } finally {
    await browser.close();
    server?.kill();
  }
  console.log(JSON.stringify(result));
}

main().catch((error) => {
  console.error(error, JSON.stringify(result));
  process.exit(1);
});
