// Drives the page of recordings in Debian's chromium. What it looks at comes as a line of JSON on stdin; what it does
// is written to stdout, a line a step. It fails with the first thing that is not as it must be.
"use strict";
const assert = require("node:assert");
const readline = require("node:readline");
const {chromium} = require("playwright-core");

const say = line => process.stdout.write(`${line}\n`);

async function main(told) {
    const browser = await chromium.launch({executablePath: "/usr/bin/chromium", args: ["--no-sandbox"]});
    const context = await browser.newContext({ignoreHTTPSErrors: true, viewport: {width: 1000, height: 700}});
    const page = await context.newPage();
    const wrong = [];
    const elsewhere = [];
    page.on("console", message => message.type() === "error" && wrong.push(message.text()));
    page.on("pageerror", error => wrong.push(String(error)));
    page.on("dialog", dialog => { wrong.push(`a dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("request", request => request.url().startsWith(told.url) || elsewhere.push(request.url()));
    const picture = async (name, options) => {
        if (told.pictures) {
            await page.screenshot({path: `${told.pictures}/${name}.png`, ...options});
        }
    };
    const text = selector => page.locator(selector).innerText();
    const terminal = () => text(".ap-term");
    // What the page's policy forbids is an error on the console; so is an answer that is none.
    const expectErrors = (count, why) => {
        assert.strictEqual(wrong.length, count, `${why}: ${wrong.join("; ")}`);
        wrong.length = 0;
    };

    say("signs in by a link");
    await page.goto(told.url + told.link);
    assert.match(await text("main"), /signs you in as ada/);
    // A browser gives it the focus soon after the page is there.
    await page.waitForSelector("button:focus");
    await page.keyboard.press("Enter");
    await page.waitForURL(`${told.url}/recordings/${told.shell}`);

    say("plays by keys");
    await page.waitForSelector(".ap-wrapper");
    assert.ok(await page.evaluate(() => document.activeElement.closest("#player") !== null), "no focus");
    await page.keyboard.press("Space");
    await page.waitForFunction(() => document.querySelector(".ap-term").innerText.includes("README.md"));
    await page.waitForSelector("#player.ended");
    assert.match(await terminal(), /the end/);
    await picture("recording", {fullPage: true});
    await page.keyboard.press("0");
    await page.waitForFunction(() => !document.querySelector(".ap-term").innerText.includes("the end"));
    await page.keyboard.press("9");
    await page.waitForFunction(() => document.querySelector(".ap-term").innerText.includes("README.md"));
    expectErrors(0, "the player");

    say("finds a session");
    await page.click("header a");
    await page.waitForSelector("table");
    await picture("recordings", {});
    await page.fill("input[name=command]", "psql");
    await page.keyboard.press("Enter");
    await page.waitForURL(/command=psql/);
    assert.strictEqual(await page.locator("tbody tr").count(), 1);
    await page.fill("input[name=command]", "no such command");
    await page.keyboard.press("Enter");
    await page.waitForURL(/command=no/);
    assert.match(await text("main"), /There are no recordings/);

    say("on a small screen, dark");
    await page.setViewportSize({width: 390, height: 700});
    await page.emulateMedia({colorScheme: "dark"});
    await page.goto(told.url);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
    assert.ok(!wide, "the list is wider than the screen");
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await ground();
    await picture("recordings-small", {});
    await page.emulateMedia({colorScheme: "light"});
    assert.notStrictEqual(await ground(), dark);
    await page.goto(`${told.url}/recordings/${told.shell}`);
    await page.waitForSelector(".ap-wrapper");
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the player is too wide");
    await page.setViewportSize({width: 1000, height: 700});
    expectErrors(0, "a small screen");

    say("a hostile recording");
    await page.goto(`${told.url}/recordings/${told.hostile}`);
    await page.waitForSelector(".ap-wrapper");
    await page.keyboard.press("Space");
    await page.waitForSelector("#player.ended");
    assert.match(await terminal(), /hostile/);
    assert.match(await terminal(), /<img src=x/);
    assert.strictEqual(await page.evaluate(() => window.hacked), undefined);
    assert.strictEqual(await page.locator("#player a, #player img, #player script, #player iframe").count(), 0);
    assert.doesNotMatch(await page.title(), /script/);
    expectErrors(0, "a hostile recording");

    say("a recording that breaks off");
    await page.route("**/events", route => route.abort());
    await page.goto(`${told.url}/recordings/${told.shell}`);
    await page.waitForSelector("text=could not be loaded to its end");
    await page.unroute("**/events");
    wrong.length = 0;

    say("a session that is followed no longer");
    for (const [status, words] of [[200, "cannot be followed just now"], [404, "follow this session no longer"]]) {
        await page.route("**/live", route => route.fulfill({status: 503}));
        await page.goto(`${told.url}/recordings/${told.live}?follow`);
        await page.route("**?follow", route => status === 404 ? route.fulfill({status}) : route.fallback());
        await page.waitForSelector(`text=${words}`);
        await page.unroute("**/live");
        if (status === 200) {
            // It goes on once it can.
            await page.waitForFunction(() => document.querySelector(".ap-term")?.innerText.includes("before"));
            assert.strictEqual(await text(".failure"), "");
        }
        await page.unroute("**?follow");
    }
    assert.strictEqual(await page.locator(".ap-wrapper").count(), 0);
    wrong.length = 0;

    say("follows a running session");
    await page.goto(`${told.url}/recordings/${told.live}?follow`);
    await page.waitForFunction(() => document.querySelector(".ap-term")?.innerText.includes("before"));
    say("say later");
    await page.waitForFunction(() => document.querySelector(".ap-term").innerText.includes("later"));
    say("end");
    await page.waitForSelector("#player.ended");
    expectErrors(0, "a running session");

    say("what is over");
    const again = await page.goto(told.url + told.link);
    assert.strictEqual(again.status(), 410);
    expectErrors(1, "a used link");
    await page.goto(told.url);
    await page.click("text=Sign out");
    await page.waitForSelector("input[name=token]");
    const out = await page.goto(`${told.url}/recordings/${told.shell}`);
    assert.strictEqual(out.status(), 401);
    wrong.length = 0;

    say("a token without a right");
    await page.fill("input[name=token]", told.token);
    await page.keyboard.press("Enter");
    // It comes back to the same address.
    await page.waitForSelector("text=no such recording");
    const denied = await text("main");
    await page.goto(`${told.url}/recordings/${told.unknown}`);
    assert.strictEqual(await text("main"), denied);
    await page.goto(told.url);
    assert.match(await text("main"), /There are no recordings/);
    assert.match(await text("header"), /bo/);
    const cookies = await page.evaluate(() => document.cookie);
    assert.strictEqual(cookies, "", "a script can read the cookie");

    assert.deepStrictEqual(elsewhere, []);
    await browser.close();
    say("all done");
}

readline.createInterface({input: process.stdin}).once("line", line => {
    main(JSON.parse(line)).then(() => process.exit(0), error => {
        console.error(error);
        process.exit(1);
    });
});
