// Photos for a form: chosen, dropped or taken with the camera. They stay in this page until they are sent.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && typeof value !== "string") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

export class Picker {
  constructor(place) {
    this.photos = [];
    this.several = place.dataset.several === "true";
    const id = `picker-${place.dataset.picker}`;
    this.input = element("input", { type: "file", accept: "image/*", id, "aria-describedby": `${id}-said` });
    this.input.multiple = this.several;
    this.shown = element("div", { class: "shown" });
    this.said = element("p", { class: "soft small", id: `${id}-said`, role: "status" }, this.hint());
    const camera = element("button", { type: "button" }, "Camera");
    const clear = element("button", { type: "button", class: "quiet" }, "Clear");
    const pick = element("label", { class: "pick", for: id }, element("span", { class: "unseen" }, `${place.dataset.label}: `), "Choose");
    place.className = this.several ? "picker several" : "picker";
    place.append(element("p", { class: "title" }, place.dataset.label), this.said, element("div", { class: "row" }, this.input, pick, camera, clear), this.shown);
    camera.hidden = !navigator.mediaDevices?.getUserMedia;
    this.input.addEventListener("change", () => { this.take([...this.input.files]); this.input.value = ""; });
    camera.addEventListener("click", () => shoot((photo) => this.take([photo])));
    clear.addEventListener("click", () => { this.photos = []; this.show(); pick.focus(); });
    for (const kind of ["dragenter", "dragover"]) place.addEventListener(kind, (event) => { event.preventDefault(); place.classList.add("over"); });
    for (const kind of ["dragleave", "drop"]) place.addEventListener(kind, () => place.classList.remove("over"));
    place.addEventListener("drop", (event) => { event.preventDefault(); this.take([...event.dataTransfer.files]); });
    this.clear = () => { this.photos = []; this.show(); };
  }

  hint() { return this.several ? "Drop photos here, or choose some." : "Drop a photo here, or choose one."; }

  take(files) {
    const images = files.filter((file) => file.type.startsWith("image/") || !file.type);
    if (!images.length) { this.said.textContent = "That is no photo."; return; }
    this.photos = this.several ? [...this.photos, ...images] : [images[0]];
    this.show();
  }

  show() {
    for (const image of this.shown.querySelectorAll("img")) URL.revokeObjectURL(image.src);
    this.shown.replaceChildren(...this.photos.map((photo) => {
      const image = element("img", { src: URL.createObjectURL(photo), alt: photo.name });
      return element("figure", {}, image, element("figcaption", {}, ""));
    }));
    const names = this.photos.map((photo) => photo.name).join(", ");
    this.said.textContent = this.photos.length ? `${this.photos.length === 1 ? "" : `${this.photos.length} photos: `}${names}` : this.hint();
  }

  // What the service saw: a box around the face that was used, and its remarks.
  mark(answers) {
    [...this.shown.children].forEach((figure, place) => {
      const answer = answers[place];
      for (const old of figure.querySelectorAll(".box")) old.remove();
      if (!answer) return;
      figure.querySelector("figcaption").textContent = remarks(answer).join("; ");
      if (!answer.face?.box) return;
      const [left, top, right, bottom] = answer.face.box;
      const box = element("div", { class: "box" });
      const image = figure.querySelector("img");
      const draw = () => {
        const [x, y] = [image.clientWidth / answer.width, image.clientHeight / answer.height];
        Object.assign(box.style, { left: `${left * x}px`, top: `${top * y}px`, width: `${(right - left) * x}px`, height: `${(bottom - top) * y}px` });
      };
      draw();
      new ResizeObserver(draw).observe(image);
      figure.append(box);
    });
  }
}

export function remarks(photo) {
  if (!photo.face) return [photo.problem];
  const checks = Object.entries(photo.face.checks ?? {}).map(([name, found]) => `${name}: ${found.passed ? "passed" : "not passed"}`);
  return [...photo.face.remarks, ...checks];
}

async function shoot(taken) {
  const [dialog, video, said] = ["camera", "video", "camera-said"].map((id) => document.getElementById(id));
  const back = document.activeElement;
  let stream;
  said.textContent = "";
  dialog.showModal();
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: { ideal: 1280 } } });
    video.srcObject = stream;
    await video.play();
  } catch (error) {
    said.textContent = `The camera cannot be used: ${error.message}`;
  }
  const ended = () => { stream?.getTracks().forEach((track) => track.stop()); video.srcObject = null; back?.focus(); };
  document.getElementById("shoot").onclick = () => {
    if (!video.videoWidth) return;
    const canvas = element("canvas", { width: String(video.videoWidth), height: String(video.videoHeight) });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => { taken(new File([blob], "camera.jpg", { type: "image/jpeg" })); dialog.close(); }, "image/jpeg", 0.95);
  };
  document.getElementById("close-camera").onclick = () => dialog.close();
  dialog.addEventListener("close", ended, { once: true });
}
