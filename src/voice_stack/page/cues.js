// Times as people read them, and cues as srt and vtt have them.

const TIMING = /^((?:\d+:)?\d+:\d\d[.,]\d{3}) --> ((?:\d+:)?\d+:\d\d[.,]\d{3})/;

const two = (number) => String(number).padStart(2, "0");

/** A place in a recording: `0:07`, `12:03`, `1:02:03`. */
export function timecode(timeS) {
  const whole = Math.max(0, Math.floor(timeS));
  const [hours, minutes, seconds] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

function readTime(text) {
  const [milliseconds, seconds, minutes, hours = 0] = text.split(/[:.,]/).reverse().map(Number);
  return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000;
}

function writeTime(timeS, mark) {
  const wholeMs = Math.max(0, Math.round(timeS * 1000));
  const whole = Math.floor(wholeMs / 1000);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return `${parts.map(two).join(":")}${mark}${String(wholeMs % 1000).padStart(3, "0")}`;
}

/** The cues of an srt or vtt file: `{startS, endS, text}`. */
export function readCues(file) {
  const cues = [];
  for (const block of file.split(/\n{2,}/)) {
    const lines = block.split("\n");
    const at = lines.findIndex((line) => TIMING.test(line));
    if (at < 0) continue;
    const [, start, end] = TIMING.exec(lines[at]);
    cues.push({ startS: readTime(start), endS: readTime(end), text: lines.slice(at + 1).join("\n").trimEnd() });
  }
  return cues;
}

/** A file of cues, `srt` or `vtt`. */
export function writeCues(cues, format) {
  const mark = format === "srt" ? "," : ".";
  const blocks = cues.map(({ startS, endS, text }, place) => {
    const number = format === "srt" ? `${place + 1}\n` : "";
    return `${number}${writeTime(startS, mark)} --> ${writeTime(endS, mark)}\n${text}\n`;
  });
  return (format === "srt" ? "" : "WEBVTT\n\n") + blocks.join("\n");
}
