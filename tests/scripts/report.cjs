// Looks at a page of `mamc report` in headless Chromium; tests/test_report.py
// reads the JSON that it prints. Usage: node report.cjs JOB.json
const { readFileSync } = require("node:fs");

const job = JSON.parse(readFileSync(process.argv[2], "utf-8"));
const { chromium } = require(job.driver);
const result = {
  asked: [],
  errors: [],
  wide: [],
  pages: {},
  printed: [],
  behind: [],
};

const numbers = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);

async function colours(page) {
  return page.evaluate(() => {
    const style = getComputedStyle(document.body);
    return [style.backgroundColor, style.color];
  });
}

async function behind(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll("details")]
      .map((part) => part.offsetHeight)
      .reduce((sum, height) => sum + height, 0),
  );
}

async function main() {
  const browser = await chromium.launch({
    executablePath: job.chromium,
    args: ["--no-sandbox"],
  });
  try {
    for (const colorScheme of ["light", "dark"]) {
      const page = await browser.newPage({ colorScheme });
      page.on("console", (m) => result.errors.push(m.text()));
      page.on("pageerror", (error) => result.errors.push(String(error)));
      page.on("request", (request) => {
        if (!request.url().startsWith("data:")) result.asked.push(request.url());
      });
      await page.goto(job.page);
      for (const width of [360, 1200]) {
        await page.setViewportSize({ width, height: 800 });
        result.wide.push(
          await page.evaluate(
            () => document.documentElement.scrollWidth - innerWidth,
          ),
        );
      }
      result.pages[colorScheme] = numbers((await colours(page))[0]);
      if (colorScheme === "dark") {
        result.behind.push(await behind(page));
        await page.emulateMedia({ media: "print", colorScheme });
        result.behind.push(await behind(page));
        result.printed = numbers((await colours(page))[1]);
        await page.pdf({ path: job.pdf, format: "A4" });
      }
    }
  } finally {
    await browser.close();
  }
  console.log(JSON.stringify(result));
}

main().catch((error) => {
  console.error(error, JSON.stringify(result));
  process.exit(1);
});
