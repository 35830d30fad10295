#!/usr/bin/env bash
# What one expects: a Link header's next page is found however long its cursor is. RFC 8288 knows no limit, servers allow
# 8 kB and more, and a header repeats the cursor in "first", "prev" and "next".
# What happens (npm parse-link-header 2.0.0): a header of more than 2,000 characters is answered with null, which is what a
# header without links gives too: for a loop over pages it is the end of the list. http-link-header 1.1.4 and li 1.3.0 find
# the page. The package's README names the limit and the null.
# Whom it hurts: extractions whose cursors are tokens of some hundred characters: a list ends after a page, early for long
# filters and late for short ones, and the extraction succeeds.
# What to do: set PARSE_LINK_HEADER_THROW_ON_MAXLEN_EXCEEDED and PARSE_LINK_HEADER_MAXLEN, or parse with http-link-header.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >npm.log
npm install --silent --no-audit --no-fund parse-link-header@2.0.0 http-link-header@1.1.4 li@1.3.0
cat >follow.mjs <<'JS'
import { readFileSync } from "fs";
import http from "http";
import LinkHeader from "http-link-header";
import li from "li";
import parse from "parse-link-header";

const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`)).version;
const NEXT = {
  "parse-link-header": (text) => parse(text)?.next?.url,
  "http-link-header": (text) => LinkHeader.parse(text).rel("next")[0]?.uri,
  li: (text) => li.parse(text).next,
};
const server = http.createServer((request, response) => {
  const query = new URL(request.url, "http://localhost").searchParams;
  const [page, token] = [Number(query.get("page")), query.get("token")];
  const link = (relation, to) => `</orders?page=${to}&token=${token}>; rel="${relation}"`;
  if (page < 3) response.setHeader("Link", [link("first", 1), link("prev", page - 1), link("next", page + 1)].join(", "));
  response.end("[]");
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const base = `http://127.0.0.1:${server.address().port}`;
const seen = [];
for (const length of [600, 700]) {
  for (const [name, next] of Object.entries(NEXT)) {
    let pages = 0;
    let longest = 0;
    for (let url = `/orders?page=1&token=${"x".repeat(length)}`; url; pages += 1) {
      const header = (await fetch(base + url)).headers.get("link") ?? "";
      longest = Math.max(longest, header.length);
      url = header && next(header);
    }
    console.log(`token of ${length}, header of ${longest}, ${name} ${version(name)}: ${pages} of 3 pages`);
    seen.push(pages);
  }
}
server.close();
server.closeAllConnections();
if (seen.join() !== "3,3,3,1,3,3") {
  console.log("Changed: parse-link-header alone no longer ends the list where the header passes 2,000 characters.");
  process.exitCode = 1;
}
JS
node follow.mjs
