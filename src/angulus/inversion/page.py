def render_audit(content, attack, made): return ""
def summary(content): return [str(len(content))]
