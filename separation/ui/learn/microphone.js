// Recording with the microphone: what a source sounds like, or a mixture.

/** Browsers give the microphone to pages on https and on localhost only. */
export const canRecord = Boolean(navigator.mediaDevices?.getUserMedia && window.MediaRecorder);

const KINDS = [
  ["audio/webm;codecs=opus", "webm"],
  ["audio/mp4", "m4a"],
  ["audio/ogg;codecs=opus", "ogg"],
];
/** Nothing that would change what is heard: music is no telephone call. */
const AS_IT_IS = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** A recording in progress. */
export class Recording {
  /** Ask for the microphone and begin. Throws an Error with `.parts` if there is none, or it is refused. */
  static async begin() {
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: AS_IT_IS });
    } catch (error) {
      const refused = error.name === "NotAllowedError";
      const found = refused ? "the browser does not allow it" : "the browser finds no microphone";
      const advice = refused ? "Allow the microphone for this page, by the sign beside the address" : "Connect one and try again";
      throw Object.assign(error, { parts: { asked: "Record with the microphone", found, advice } });
    }
    return new Recording(stream);
  }

  constructor(stream) {
    this.stream = stream;
    const [mimeType, suffix] = KINDS.find(([kind]) => MediaRecorder.isTypeSupported(kind)) ?? [undefined, "webm"];
    this.suffix = suffix;
    this.blocks = [];
    this.recorder = new MediaRecorder(stream, mimeType && { mimeType });
    this.recorder.ondataavailable = ({ data }) => this.blocks.push(data);
    this.done = new Promise((resolve) => (this.recorder.onstop = resolve));
    this.recorder.start(250);
    this.began = performance.now();
    this.context = new AudioContext();
    this.meter = this.context.createAnalyser();
    this.context.createMediaStreamSource(stream).connect(this.meter);
    this.heard = new Float32Array(this.meter.fftSize);
  }

  get seconds() {
    return (performance.now() - this.began) / 1000;
  }

  /** How loud it is now: 0 (-60 dB and below) to 1 (full scale). */
  get level() {
    this.meter.getFloatTimeDomainData(this.heard);
    const peak = this.heard.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
    return Math.min(1, Math.max(0, 1 + (20 * Math.log10(peak)) / 60));
  }

  /** End it; resolves to a file. */
  async stop() {
    this.recorder.stop();
    await this.done;
    for (const track of this.stream.getTracks()) track.stop();
    this.context.close();
    const clock = new Date().toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
    return new File(this.blocks, `Recorded at ${clock.replaceAll(":", ".")}.${this.suffix}`, { type: this.recorder.mimeType });
  }
}

/**
 * A button that records: pressed once it begins, pressed again it ends and `take` gets the file; `failed` gets an error. While it
 * records the button says for how long, and how loud it is.
 */
export function recordButton({ label, take, failed }) {
  const words = Object.assign(document.createElement("span"), { textContent: label });
  const button = Object.assign(document.createElement("button"), { type: "button", className: "earshot-button learn-record" });
  button.append(Object.assign(document.createElement("i"), { ariaHidden: "true" }), words);
  button.disabled = !canRecord;
  if (!canRecord) button.title = "The microphone needs https or localhost";
  let recording = null;
  let busy = false;
  const follow = () => {
    if (!recording) return;
    if (!button.isConnected) {
      recording.stop(); // its source was removed meanwhile
      recording = null;
      return;
    }
    const text = `Stop, ${Math.floor(recording.seconds)} s`;
    if (words.textContent !== text) words.textContent = text;
    button.style.setProperty("--level", recording.level);
    requestAnimationFrame(follow);
  };
  button.onclick = async () => {
    if (busy) return;
    busy = true;
    try {
      if (recording) {
        const { stop } = recording;
        const ending = stop.call(recording);
        recording = null;
        words.textContent = label;
        button.setAttribute("aria-pressed", false);
        button.style.removeProperty("--level");
        take(await ending);
      } else {
        recording = await Recording.begin();
        button.setAttribute("aria-pressed", true);
        follow();
      }
    } catch (error) {
      failed(error);
    } finally {
      busy = false;
    }
  };
  return button;
}
