"use strict";
// Starts the player on the recording that the page names, and says so if it cannot show it.

// How long a stream that broke off may take to go on by itself, in milliseconds.
const PATIENCE = 10000;
const place = document.getElementById("player");
const told = place.parentNode.insertBefore(document.createElement("p"), place.nextSibling);
told.className = "failure";
told.setAttribute("role", "alert");

function start(source, options) {
    const player = AsciinemaPlayer.create(source, place, {
        fit: "both",
        idleTimeLimit: 2,
        controls: true,
        terminalFontFamily: "ui-monospace, Menlo, Consolas, \"DejaVu Sans Mono\", monospace",
        ...options,
    });
    player.addEventListener("ended", () => place.classList.add("ended"));
    // So that its keys work at once.
    place.querySelector(".ap-wrapper")?.focus({preventScroll: true});
    return player;
}

function play(url) {
    const player = start({url}, {preload: true});
    player.addEventListener("error", () => {
        told.textContent = "The recording could not be loaded to its end. Load the page again.";
    });
}

function follow(url) {
    const player = start({driver: "eventsource", url, bufferTime: 0}, {autoPlay: true});
    let late;
    player.addEventListener("loading", () => {
        clearTimeout(late);
        late = setTimeout(again, PATIENCE);
    });
    player.addEventListener("playing", () => {
        clearTimeout(late);
        told.textContent = "";
    });
    // The player does not tell why its stream broke off. Whether one may still follow, the page itself says.
    async function again() {
        const status = await fetch(location.href).then(answer => answer.status, () => 0);
        if ([401, 403, 404].includes(status)) {
            player.dispose();
            told.textContent = "You may follow this session no longer, or are signed out. Load the page again.";
        } else if (status === 200) {
            player.dispose();
            told.textContent = "The session cannot be followed just now. It is tried again.";
            follow(url);
        } else {
            late = setTimeout(again, PATIENCE);
        }
    }
}

const {live, source} = place.dataset;
if (typeof AsciinemaPlayer === "undefined") {
    told.textContent = "This program was built without its player: run frontdoor/replay/player/fetch and build it again.";
} else if (live) {
    follow(live);
} else {
    play(source);
}
