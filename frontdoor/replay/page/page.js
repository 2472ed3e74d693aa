"use strict";
// Starts the player on the recording that the page names.
const place = document.getElementById("player");
if (typeof AsciinemaPlayer === "undefined") {
    place.textContent = "This program was built without its player: run frontdoor/replay/player/fetch and build it again.";
} else {
    const live = place.dataset.live;
    const source = live ? {driver: "eventsource", url: live, bufferTime: 0} : {url: place.dataset.source};
    const player = AsciinemaPlayer.create(source, place, {
        fit: "both",
        preload: true,
        autoPlay: Boolean(live),
        idleTimeLimit: 2,
        controls: true,
        terminalFontFamily: "ui-monospace, Menlo, Consolas, \"DejaVu Sans Mono\", monospace",
    });
    player.addEventListener("ended", () => place.classList.add("ended"));
    // So that its keys work at once.
    place.querySelector(".ap-wrapper")?.focus({preventScroll: true});
}
