/** The element's markup: icons, menus, texts. */

import { LOUDEST_DB, SILENT_DB } from "./times.js";

const ICONS = {
  play: "M8 5.2v13.6a.9.9 0 0 0 1.4.75l10.4-6.8a.9.9 0 0 0 0-1.5L9.4 4.45A.9.9 0 0 0 8 5.2z",
  pause: "M7 4.5h3.2v15H7zM13.8 4.5H17v15h-3.2z",
  start: "M6 5h2.2v14H6zM19 6v12a.8.8 0 0 1-1.25.66L9.4 12.7a.85.85 0 0 1 0-1.4l8.35-5.96A.8.8 0 0 1 19 6z",
  loop: "M7 7h9.2l-1.9-1.9L15.7 3.7 20 8l-4.3 4.3-1.4-1.4L16.2 9H7a2 2 0 0 0-2 2v1.5H3V11a4 4 0 0 1 4-4zm10 10H7.8l1.9 1.9-1.4 1.4L4 16l4.3-4.3 1.4 1.4L7.8 15H17a2 2 0 0 0 2-2v-1.5h2V13a4 4 0 0 1-4 4z",
  less: "M5 11h14v2H5z",
  more: "M11 5h2v6h6v2h-6v6h-2v-6H5v-2h6z",
  fit: "M3 5h2v14H3zm16 0h2v14h-2zM9.4 8.2 8 6.8 6.3 8.5v0L6 12l.3 3.5v0L8 17.2l1.4-1.4L8.6 13h6.8l-.8 2.8 1.4 1.4 1.7-1.7L18 12l-.3-3.5L16 6.8l-1.4 1.4.8 2.8H8.6z",
  volume: "M4 9.5v5h3.5L12 18.6V5.4L7.5 9.5zm10.2-1.7v8.4a4.6 4.6 0 0 0 0-8.4zm0-4.1v2.1a6.5 6.5 0 0 1 0 12.4v2.1a8.5 8.5 0 0 0 0-16.6z",
  wave: "M3 11h2v2H3zm4-4h2v10H7zm4-4h2v18h-2zm4 5h2v8h-2zm4 3h2v2h-2z",
  spectrogram: "M3 4h4v4H3zm0 6h4v4H3zm0 6h4v4H3zm7-6h4v4h-4zm0 6h4v4h-4zm7 0h4v4h-4zm0-12h4v4h-4z",
  difference: "M4 5h7v2H4zm3.5 5L4 13.5l3.5 3.5v-2.5H12v-2H7.5zM13 17h7v2h-7zm3.5-3 3.5-3.5L16.5 7v2.5H12v2h4.5z",
  band: "M4 4h4v2H6v2H4zm6 0h4v2h-4zm6 0h4v4h-2V6h-2zM4 10h2v4H4zm14 0h2v4h-2zM4 16h2v2h2v2H4zm14 0h2v4h-4v-2h2zm-8 2h4v2h-4z",
  download: "M11 3h2v9.2l3.3-3.3 1.4 1.4L12 16l-5.7-5.7 1.4-1.4 3.3 3.3zM4 18h16v2.2H4z",
};
export const FORMATS = [
  ["WAV, 16 bit", "plays everywhere", "wav", "16"],
  ["WAV, 24 bit", "for further work", "wav", "24"],
  ["WAV, 32-bit float", "exactly as computed", "wav", "32f"],
  ["FLAC", "smaller, nothing lost", "flac", "24"],
  ["MP3", "small", "mp3", "16"],
];
const SHORTCUTS = [
  ["Space", "play, pause"],
  ["← →", "5 seconds back, on; with Shift 1 second"],
  ["Home End", "to the start, to the end"],
  ["1 … 9", "solo a track; with Shift add it"],
  ["M", "mute the track chosen last"],
  ["I O", "start, end the selection at the cursor"],
  ["L", "loop the selection"],
  ["B", "change over between the original and its edit"],
  ["+ −", "zoom in, out; 0 shows everything"],
  ["Esc", "drop the selection"],
  ["?", "this help"],
  ["Click", "go there"],
  ["Drag", "select a region; drag its ends to change it"],
  ["Drag up or down on a spectrogram; Shift + drag", "select a band: times and frequencies"],
  ["Tab to a spectrogram, then ↑ ↓", "read the level at the cursor, frequency by frequency"],
  ["Ctrl + wheel, pinch", "zoom"],
];
const SPECTROGRAMS = `
  <h3>What am I looking at?</h3>
  <p>How loud each frequency is at each moment: time from left to right, low notes below, and the lighter the louder.</p>
  <p>A held note is a stack of level lines, a drum hit an upright stroke, hiss a haze. For example: on the lane of the vocals,
    a faint upright stroke at every beat is the drum that the model has left in.</p>
  <p class="of-difference">A <b>difference</b> is one track minus another, in dB: orange where it has more, blue where it has less, dark
    where the two agree or neither has anything. For example: in <i>vocals minus vocals (reference)</i> an orange streak is
    something else that leaked in, a blue hole is voice that was lost.</p>`;
export const WORK = {
  read: "Reading the recording",
  preview: "Separating a preview",
  separate: "Separating",
  write: "Writing the tracks",
};
export const SHARE = 100000; // `mix?gains=` is rounded to this

export const icon = (name) => `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg>`;
export const skeleton = `<li class="row track skeleton" aria-hidden="true"><div class="gutter"><i></i><i></i></div><div class="lane"><i></i></div></li>`;
export const TEMPLATE = `
<section class="player" tabindex="-1" aria-label="Player">
  <header class="head">
    <div class="title"><h2 class="name"></h2><p class="facts"></p></div>
    <div class="job">
      <p class="job-line"><span class="dot"></span><span class="job-text"></span><span class="job-left"></span></p>
      <div class="progress" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"><i></i></div>
    </div>
    <button type="button" class="button cancel" hidden>Cancel</button>
  </header>
  <div class="failure" role="alert" hidden>
    <h3></h3><dl><dt>Asked</dt><dd class="asked"></dd><dt>Found</dt><dd class="found"></dd><dt>What to do</dt><dd class="advice"></dd></dl>
  </div>
  <div class="deck">
    <div class="bar" role="toolbar" aria-label="Playback">
      <div class="group">
        <button type="button" class="icon start" aria-label="To the start" title="To the start (Home)">${icon("start")}</button>
        <button type="button" class="icon play" aria-label="Play" title="Play (Space)">${icon("play")}</button>
        <button type="button" class="icon loop" aria-pressed="false" aria-label="Loop the selection" title="Loop the selection (L)">${icon("loop")}</button>
      </div>
      <div class="switch takes" role="group" aria-label="Which is heard" hidden>
        <button type="button" data-side="A" aria-pressed="true" title="Hear the original (B changes over)"><b>A</b><span>original</span></button>
        <button type="button" data-side="B" aria-pressed="false" title="Hear the edit (B changes over)"><b>B</b><span>edited</span></button>
      </div>
      <p class="time"><span class="now">0:00.000</span><span class="of"></span></p>
      <p class="hint"></p>
      <div class="group sight">
        <div class="switch" role="group" aria-label="Show all tracks as">
          <button type="button" class="all-wave" aria-pressed="true" aria-label="Waveform" title="Waveform">${icon("wave")}<span>Waveform</span></button>
          <button type="button" class="all-spectrogram" aria-pressed="false" aria-label="Spectrogram" title="Spectrogram">${icon("spectrogram")}<span>Spectrogram</span></button>
          <button type="button" class="all-difference" aria-pressed="false" aria-label="Difference from the references" title="Each stem minus its reference" hidden>${icon("difference")}<span>Difference</span></button>
        </div>
        <button type="button" class="icon out" aria-label="Zoom out" title="Zoom out (−)">${icon("less")}</button>
        <button type="button" class="icon fit" aria-label="Show everything" title="Show everything (0)">${icon("fit")}</button>
        <button type="button" class="icon in" aria-label="Zoom in" title="Zoom in (+)">${icon("more")}</button>
      </div>
      <label class="volume" title="Master volume">${icon("volume")}<input type="range" min="0" max="100" value="90" aria-label="Master volume"></label>
      <button type="button" class="icon help" aria-label="Keyboard and mouse" title="Keyboard and mouse (?)">?</button>
    </div>
    <div class="timeline">
      <div class="row top"><div class="gutter pictures" hidden>
          <button type="button" class="button axis-choice" aria-haspopup="menu" title="How frequencies are spread over a spectrogram"></button>
          <button type="button" class="icon boxing" aria-pressed="false" aria-label="Select bands" title="Select bands of time and frequency by dragging (Shift + drag does it too)">${icon("band")}</button>
          <button type="button" class="what" aria-haspopup="dialog" aria-label="What am I looking at?" title="What am I looking at?">?</button></div>
        <div class="lane overview"><canvas></canvas><div class="window"></div><div class="head-line"></div></div></div>
      <div class="row top"><div class="gutter legends"><p class="legend level" role="img" hidden><span></span><i></i><span></span></p>
          <p class="legend difference" role="img" hidden><span></span><i></i><span></span></p></div>
        <div class="lane ruler" role="slider" tabindex="0" aria-label="Position"><canvas></canvas><div class="shade" hidden></div><div class="part" hidden title="The edit: B"></div><div class="marks"></div><div class="head-line"></div></div></div>
      <ol class="tracks">${skeleton.repeat(4)}</ol>
      <p class="readout" aria-hidden="true" hidden></p>
      <p class="curtain" role="status" hidden></p>
    </div>
    <footer class="foot">
      <div class="group">
        <button type="button" class="button all" disabled aria-haspopup="menu">${icon("download")}Download all (zip)</button>
        <button type="button" class="button mix" disabled aria-haspopup="menu">${icon("download")}Download the mix as it is set now</button>
        <p class="notice" role="status" aria-live="polite"></p>
        <button type="button" class="button quiet delete" hidden>Delete my audio now</button>
      </div>
      <ul class="notes"></ul>
    </footer>
  </div>
  <div class="menu" role="menu" hidden></div>
  <div class="card" role="dialog" aria-label="What am I looking at?" tabindex="-1" hidden>${SPECTROGRAMS}</div>
  <dialog class="help-dialog" aria-label="Keyboard and mouse"><h3>Keyboard and mouse</h3><dl>${SHORTCUTS.map(([keys, what]) => `<div><dt>${keys}</dt><dd>${what}</dd></div>`).join("")}</dl>
    <form method="dialog"><button class="button">Close</button></form></dialog>
  <dialog class="delete-dialog" aria-label="Delete this audio"><h3>Delete this audio now?</h3>
    <p>The recording and every track made from it are removed from the server. This cannot be undone.</p>
    <form method="dialog"><button class="button" value="">Keep</button><button class="button strong" value="delete">Delete</button></form></dialog>
</section>`;

export const TRACK = (number) => `
  <div class="gutter">
    <p class="who"><span class="chip"></span><span class="label"></span></p>
    <div class="buttons">
      <button type="button" class="icon small picture" aria-pressed="false" title="Spectrogram">${icon("spectrogram")}</button>
      <button type="button" class="icon small get" aria-haspopup="menu" title="Download">${icon("download")}</button>
    </div>
    <div class="level">
      <button type="button" class="key solo" aria-pressed="false" title="Solo${number < 10 ? ` (${number})` : ""}; Shift adds">S</button>
      <button type="button" class="key mute" aria-pressed="false" title="Mute (M)">M</button>
      <input type="range" min="${SILENT_DB}" max="${LOUDEST_DB}" step="0.5" value="0" title="Gain; double-click for 0 dB">
      <output>0.0 dB</output>
    </div>
  </div>
  <div class="lane wave"><canvas class="outline"></canvas><canvas class="heat"></canvas><div class="axis" aria-hidden="true"></div>
    <div class="ahead" hidden></div><div class="shade" hidden></div><div class="band" hidden></div><div class="head-line"></div>
    <div class="probe" role="slider" tabindex="0" aria-orientation="vertical"></div>
    <button type="button" class="against" aria-haspopup="menu"></button></div>`;

/** How a track's name is shown. */
export function titleOf(name) {
  if (name.startsWith("reference-")) return `${name.slice(10)} (reference)`;
  return name;
}
