// Words of the live page in the reader's language, chosen as on the inspector's page. What the service says stays English.
const KEPT = "steel-language";

export const WORDS = {
  en: {
    connecting: "connecting", running: "running", starved: "starved", overloaded: "overloaded", paused: "paused", stopping: "stopping", fault: "fault",
    gone: "no answer", old: "what you see is old", coil: "coil", rate: "frames a second", frames: "frames", no_verdict: "no verdict",
    shed: "shed", lost: "lost", waiting: "waiting", median: "median, ms", most: "99 %, ms", spool: "in the spool", last: "last frame, s",
    ng_title: "Last frames that are not OK", none_ng: "None since the start.", last_title: "Last frames", none_last: "No frame has come yet.",
    sinks: "Sinks", sink: "sink", state: "state", sent: "sent", dropped: "dropped", error: "last error", takes: "takes events", away: "away",
    again: "again in {n} s", defects: "defects: {n}", no_sinks: "No sinks: events go to this page alone.", alarms: "The images have changed",
  },
  de: {
    connecting: "verbindet", running: "läuft", starved: "keine Bilder", overloaded: "überlastet", paused: "angehalten", stopping: "endet", fault: "Störung",
    gone: "keine Antwort", old: "was Sie sehen, ist alt", coil: "Coil", rate: "Bilder je Sekunde", frames: "Bilder", no_verdict: "ohne Urteil",
    shed: "ausgelassen", lost: "verloren", waiting: "warten", median: "Median, ms", most: "99 %, ms", spool: "im Speicher", last: "letztes Bild, s",
    ng_title: "Letzte Bilder, die nicht OK sind", none_ng: "Keines seit dem Start.", last_title: "Letzte Bilder", none_last: "Noch kein Bild gekommen.",
    sinks: "Empfänger", sink: "Empfänger", state: "Zustand", sent: "gesendet", dropped: "verworfen", error: "letzter Fehler", takes: "nimmt Ereignisse", away: "nicht erreichbar",
    again: "wieder in {n} s", defects: "Defekte: {n}", no_sinks: "Keine Empfänger: Ereignisse stehen nur auf dieser Seite.", alarms: "Die Bilder haben sich verändert",
  },
  ru: {
    connecting: "соединение", running: "работает", starved: "нет кадров", overloaded: "перегрузка", paused: "пауза", stopping: "завершается", fault: "неисправность",
    gone: "нет ответа", old: "показано старое состояние", coil: "рулон", rate: "кадров в секунду", frames: "кадры", no_verdict: "без решения",
    shed: "пропущено", lost: "потеряно", waiting: "ждут", median: "медиана, мс", most: "99 %, мс", spool: "в очереди", last: "последний кадр, с",
    ng_title: "Последние кадры, которые не OK", none_ng: "С начала работы таких нет.", last_title: "Последние кадры", none_last: "Кадров ещё не было.",
    sinks: "Получатели", sink: "получатель", state: "состояние", sent: "отправлено", dropped: "отброшено", error: "последняя ошибка", takes: "принимает", away: "недоступен",
    again: "снова через {n} с", defects: "дефектов: {n}", no_sinks: "Получателей нет: события видны только здесь.", alarms: "Изображения изменились",
  },
  zh: {
    connecting: "连接中", running: "运行中", starved: "无图像", overloaded: "过载", paused: "已暂停", stopping: "正在停止", fault: "故障",
    gone: "无应答", old: "显示的是旧数据", coil: "钢卷", rate: "每秒帧数", frames: "帧数", no_verdict: "未判定",
    shed: "已舍弃", lost: "已丢失", waiting: "等待中", median: "中位数，毫秒", most: "99 %，毫秒", spool: "队列中", last: "距上一帧，秒",
    ng_title: "最近的非 OK 图像", none_ng: "启动以来没有。", last_title: "最近的图像", none_last: "尚无图像。",
    sinks: "接收端", sink: "接收端", state: "状态", sent: "已发送", dropped: "已丢弃", error: "最近的错误", takes: "正常接收", away: "不可用",
    again: "{n} 秒后重试", defects: "缺陷：{n}", no_sinks: "没有接收端：事件只显示在本页。", alarms: "图像发生了变化",
  },
};

function wanted() {
  const kept = localStorage.getItem(KEPT);
  if (kept in WORDS) return kept;
  return navigator.languages.map((one) => one.slice(0, 2).toLowerCase()).find((one) => one in WORDS) ?? "en";
}

export const language = wanted();
document.documentElement.lang = language;

/** Return a phrase; {n} stands for a value. */
export const t = (key, n) => (WORDS[language][key] ?? key).replace("{n}", n);

for (const place of document.querySelectorAll("[data-t]")) place.textContent = t(place.dataset.t);
