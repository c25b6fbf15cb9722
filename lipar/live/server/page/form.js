// The settings as a form. The server has the last word: what it confirms is shown, what it refuses is put back.

const MOST_THRESHOLD = 10; // the slider is logarithmic, from its inverse

const percent = (value) => `${Math.round(100 * value)} %`;
const slider = {
  strength: { show: (value) => value.toFixed(2) },
  keep: { show: percent },
  threshold: {
    show: (value) => `${value.toFixed(2)}x`,
    read: (position) => Number((MOST_THRESHOLD ** position).toPrecision(3)),
    write: (value) => Math.log(value) / Math.log(MOST_THRESHOLD),
  },
};

/** Events: `change` with the settings that the user changed. */
export class SettingsForm extends EventTarget {
  constructor(form, fields) {
    super();
    this.form = form;
    this.fields = fields;
    this.prompt = form.querySelector("#prompt");
    this.amounts = [...form.querySelectorAll("[name=amount]")];
    this.settings = {};
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.tell({ prompt: this.prompt.value });
    });
    this.prompt.addEventListener("keydown", (event) => this.promptKey(event));
    this.prompt.addEventListener("input", () => this.mark());
    for (const field of fields) this.bind(field);
    for (const radio of this.amounts) radio.addEventListener("change", () => this.tell(this.amount()));
    form.querySelector("#new-seed").addEventListener("click", () => this.tell({ seed: Math.floor(2 ** 31 * Math.random()) }));
  }

  bind(field) {
    const { setting } = field.dataset;
    field.addEventListener("input", () => this.label(field));
    field.addEventListener("change", () => {
      if (setting === "keep" || setting === "threshold") {
        this.choose(setting);
        this.tell(this.amount());
      } else {
        this.tell({ [setting]: this.value(field) });
      }
    });
  }

  promptKey(event) {
    if (event.key === "Escape") this.prompt.blur();
    // with an input method, Enter ends the word
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.form.requestSubmit();
  }

  value(field) {
    if (field.type === "checkbox") return field.checked;
    if (field.value === "") return null;
    return slider[field.dataset.setting]?.read?.(field.valueAsNumber) ?? field.valueAsNumber;
  }

  label(field) {
    const output = field.parentElement.querySelector("output");
    if (output) output.textContent = slider[field.dataset.setting].show(this.value(field));
    if (field.type === "range") field.setAttribute("aria-valuetext", output.textContent);
  }

  choose(name) {
    for (const radio of this.amounts) radio.checked = radio.value === name;
  }

  /** Threshold or fixed share: one of the two. */
  amount() {
    const [threshold, keep] = ["threshold", "keep"].map((name) => this.value(this.field(name)));
    return this.amounts.find(({ checked }) => checked).value === "keep" ? { keep, threshold: 1 } : { keep: null, threshold };
  }

  field(name) {
    return this.fields.find((field) => field.dataset.setting === name);
  }

  tell(change) {
    this.dispatchEvent(new CustomEvent("change", { detail: change }));
  }

  /** Shows settings of the server; a prompt that is being written stays. */
  show(settings) {
    const written = this.prompt.value !== (this.settings.prompt ?? "") && document.activeElement === this.prompt;
    this.settings = settings;
    if (!written) this.prompt.value = settings.prompt;
    this.choose(settings.keep === null ? "threshold" : "keep");
    for (const field of this.fields) {
      const value = settings[field.dataset.setting];
      if (field.type === "checkbox") field.checked = value;
      else if (value !== null && value !== undefined) field.value = slider[field.dataset.setting]?.write?.(value) ?? value;
      this.label(field);
    }
    this.mark();
  }

  /** Says that the prompt in the field is not the one in use. */
  mark() {
    this.form.classList.toggle("unapplied", this.prompt.value !== this.settings.prompt);
  }
}
